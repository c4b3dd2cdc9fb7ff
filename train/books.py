"""Books: text files as documents, held-out ones apart, and their copy in the model folder."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.chat import Message
from train.cleaning import clean_text, read_text, strip_licence
from train.dialogues import is_dialogue, parse_dialogue, parse_json_lines
from train.durable import fsync_folder, write_file
from train.prose import cut_prose

_HELD_OUT_SHARE = 0.05
_FEWEST_TO_HOLD_OUT = 5
_SUFFIXES = (".txt", ".jsonl")


@dataclass(frozen=True)
class Document:
    """One stretch of text that is read as a whole: prose, or else a conversation."""

    text: str = ""
    messages: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        if bool(self.text) == bool(self.messages):
            raise ValueError(
                f"a document must hold either text or messages, got {len(self.text)} characters "
                f"and {len(self.messages)} messages; give one of them."
            )


@dataclass(frozen=True)
class Book:
    """A cleaned text, cut into documents in their order.

    Attributes:
      name: file name without its ending.
      sha256: hash of `documents` and `held_out`; name and encoding do not matter.
      encoding: of the file it came from.
      held_out: the last documents; never trained on.
      n_bytes: UTF-8 bytes of all words, held-out ones included.
    """

    name: str
    sha256: str
    encoding: str
    documents: tuple[Document, ...]
    held_out: tuple[Document, ...]
    n_bytes: int


def load_book(path: str | Path) -> Book:
    """Returns the cleaned book of a text or JSON-lines file.

    Prose is cut into whole paragraphs of about 4,096 characters together, less in a short book;
    a form feed, an `<|endoftext|>` line and a chapter heading always begin a new document, and
    stories between `<|endoftext|>` lines stay whole. Conversations (see train/dialogues.py) give
    a document each. The last 5 % of five or more documents are held out.

    Raises:
      ValueError: the file cannot be read, or holds no words or no answered conversation.
    """
    path = Path(path)
    text, encoding = read_text(path)
    if path.suffix.lower() == ".jsonl":
        documents = [Document(messages=talk) for talk in _json_lines(text, path)]
    elif is_dialogue(body := strip_licence(text)):
        documents = [Document(messages=talk) for talk in parse_dialogue(body)]
    else:
        documents = [Document(text=part) for part in cut_prose(clean_text(text))]
    if not documents:
        raise ValueError(f"book {path} holds nothing to learn, want words; give another file.")
    n_held_out = 0
    if len(documents) >= _FEWEST_TO_HOLD_OUT:
        n_held_out = max(1, round(len(documents) * _HELD_OUT_SHARE))
    first = len(documents) - n_held_out
    return _book(path.stem, encoding, tuple(documents[:first]), tuple(documents[first:]))


def _json_lines(text: str, path: Path) -> list[tuple[Message, ...]]:
    try:
        return parse_json_lines(text)
    except ValueError as error:
        raise ValueError(f"book {path}: {error}") from error


def _book(
    name: str, encoding: str, documents: tuple[Document, ...], held_out: tuple[Document, ...]
) -> Book:
    content = {"documents": _plain(documents), "held_out": _plain(held_out)}
    canonical = json.dumps(content, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    words = [
        words
        for document in (*documents, *held_out)
        for words in (document.text, *(message.text for message in document.messages))
    ]
    n_bytes = sum(len(part.encode("utf-8", "surrogatepass")) for part in words)
    sha256 = hashlib.sha256(canonical.encode()).hexdigest()
    return Book(name, sha256, encoding, documents, held_out, n_bytes)


def _plain(documents: Sequence[Document]) -> list[Any]:
    """Returns JSON's form: a string for prose, a list of [role, text] for a conversation."""
    return [
        document.text or [[message.role, message.text] for message in document.messages]
        for document in documents
    ]


def find_books(paths: Sequence[str | Path]) -> list[Path]:
    """Returns the files as given, and of each folder its .txt and .jsonl files by name.

    Raises:
      ValueError: a path does not exist, or a folder holds no such file.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if not path.is_dir():
            if not path.exists():
                raise ValueError(f"book {path} does not exist, want a file or folder; correct it.")
            found.append(path)
            continue
        inside = [
            file
            for file in sorted(path.iterdir(), key=lambda file: file.name)
            if file.suffix.lower() in _SUFFIXES and file.name[0] != "." and file.is_file()
        ]
        if not inside:
            raise ValueError(
                f"folder {path} holds no books, want .txt or .jsonl files; give another folder."
            )
        found += inside
    return found


def save_book(book: Book, folder: str | Path) -> Path:
    """Returns the file `<folder>/<sha256>.json` that now holds the book, durably, for its owner."""
    folder = Path(folder)
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True)
        fsync_folder(folder.parent)
    stored = {
        "name": book.name,
        "encoding": book.encoding,
        "documents": _plain(book.documents),
        "held_out": _plain(book.held_out),
    }
    path = folder / f"{book.sha256}.json"
    write_file(path, json.dumps(stored, ensure_ascii=True, indent=0).encode(), 0o600)
    return path


def load_saved_book(folder: str | Path, sha256: str) -> Book:
    """Returns the book that `save_book` wrote.

    Raises:
      ValueError: the copy is missing or its content has another hash.
    """
    path = Path(folder) / f"{sha256}.json"
    try:
        stored = json.loads(path.read_bytes())
        documents, held_out = (
            tuple(map(_document, stored[key])) for key in ("documents", "held_out")
        )
        book = _book(stored["name"], stored["encoding"], documents, held_out)
    except FileNotFoundError as error:
        raise ValueError(f"saved book {path} is missing; restore it from a copy.") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"saved book {path} is damaged or unreadable; restore it from a copy."
        ) from error
    if book.sha256 != sha256:
        raise ValueError(
            f"saved book {path} has the hash {book.sha256[:12]}, want {sha256[:12]}; "
            "it is damaged, restore it from a copy."
        )
    return book


def _document(stored: Any) -> Document:
    if isinstance(stored, str):
        return Document(text=stored)
    return Document(messages=tuple(Message(role, text) for role, text in stored))
