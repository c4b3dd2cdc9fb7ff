"""Books as the page shows them: what was cut, what is left to read, and the curve of a life."""

import functools
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from model.chat import format_context
from serve.lines import printable
from train.books import Book, Document, load_book
from train.cleaning import clean_text, read_text, strip_licence
from train.effective import effective_events
from train.life import Life
from train.windows import count_windows

SUFFIXES = (".txt", ".jsonl")
_SHOWN = 1200
_MOST_POINTS, _FEWEST_WINDOWS = 400, 8


class Upload(NamedTuple):
    """A file that was dropped on the page: its book, and what cleaning did to it."""

    book: Book
    n_bytes: int
    cut_before: str
    cut_after: str
    lines_before: int
    lines_after: int


def book_name(given: str) -> tuple[str, str]:
    """A plain name and ending for a file that someone calls `given`.

    Raises:
      ValueError: another ending than those of books.
    """
    suffix = Path(given).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(
            f"a book is a .txt or .jsonl file, got {printable(given)[-40:]!r}; save it as text."
        )
    slug = re.sub(r"[^a-z0-9]+", "-", Path(given).stem.lower()).strip("-")[:64].strip("-")
    return slug or "book", suffix


def take_upload(path: Path) -> Upload:
    """The book in the file, and what was cut from it; ValueError when it is no text."""
    book = load_book(path)
    text, _ = read_text(path)
    body = strip_licence(text)
    start = text.find(body)
    cleaned = text if path.suffix == ".jsonl" else clean_text(text)
    return Upload(
        book=book,
        n_bytes=path.stat().st_size,
        cut_before=text[:start],
        cut_after=text[start + len(body) :],
        lines_before=body.count("\n") + 1,
        lines_after=cleaned.count("\n") + 1,
    )


def upload_record(number: str, upload: Upload) -> dict[str, Any]:
    """The preview of a file before it is read."""
    book = upload.book
    return {
        "id": number,
        "name": book.name,
        "bytes": upload.n_bytes,
        "kept_bytes": book.n_bytes,
        "encoding": book.encoding,
        "documents": len(book.documents),
        "held_out": len(book.held_out),
        "conversation": bool(book.documents[0].messages),
        "cut_before": _ends(upload.cut_before),
        "cut_after": _ends(upload.cut_after),
        "lines_before": upload.lines_before,
        "lines_after": upload.lines_after,
    }


def _ends(text: str) -> dict[str, Any]:
    text = text.strip()
    return {"characters": len(text), "text": printable(text[:_SHOWN])}


def documents_record(book: Book, first: int, count: int = 8) -> dict[str, Any]:
    """Some documents of the cleaned text, as they will be read."""
    every = (*book.documents, *book.held_out)
    shown = [
        {
            "number": number,
            "text": printable(_text(document)),
            "held_out": number >= len(book.documents),
        }
        for number, document in enumerate(every[first : first + count], start=first)
    ]
    return {"documents": shown, "of": len(every)}


def _text(document: Document) -> str:
    return document.text or format_context(document.messages)


class Shelf:
    """The names of the books in a model folder, each read from its file once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = functools.cache(self._read)

    def name(self, hashes: Sequence[str]) -> str:
        """What reading calls these books."""
        return self._name(hashes[0]) if len(hashes) == 1 else f"{len(hashes)} books"

    def _read(self, sha256: str) -> str:
        try:
            return str(json.loads((self._folder / f"{sha256}.json").read_bytes())["name"])
        except (OSError, ValueError, KeyError):
            return sha256[:8]


def books_known(life: Life, shelf: Shelf, context: int) -> list[dict[str, Any]]:
    """Every book (or books as one) of this life: passes, place in an unfinished one, figures."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for event in effective_events(life.journal, kinds=("open", "read", "book")):
        hashes = tuple(event.data["books"])
        row = found.setdefault(
            hashes,
            {
                "books": list(hashes),
                "name": shelf.name(hashes),
                "passes": 0,
                "windows_read": 0,
                "held_out": None,
                "finished": None,
            },
        )
        if event.kind == "read":
            row["windows_read"] = event.data["first"] + event.data["windows"]
        elif event.kind == "book":
            row |= {"passes": event.data["pass"] + 1, "windows_read": 0}
            row |= {"held_out": event.data["held_out"], "finished": event.id}
    for row in found.values():
        if row["windows_read"]:
            row["windows"] = count_windows(life.library.get(row["books"]), context)
    return list(found.values())


def passes_done(life: Life, hashes: Sequence[str]) -> int:
    """How often these books were read to the end, as one."""
    return sum(
        event.data["books"] == list(hashes)
        for event in effective_events(life.journal, kinds=("book",))
    )


def reading_curve(life: Life, shelf: Shelf) -> dict[str, list[Any]]:
    """Bits per byte that reading saw, over the windows read in this life; means of neighbours.

    From the journal, so that it is the same after a reload and after a restart.
    """
    rows = [event.data for event in effective_events(life.journal, kinds=("read",))]
    least = max(_FEWEST_WINDOWS, sum(row["windows"] for row in rows) // _MOST_POINTS)
    groups: list[list[dict[str, Any]]] = []
    for row in rows:
        if not groups or sum(other["windows"] for other in groups[-1]) >= least:
            groups.append([])
        groups[-1].append(row)
    if len(groups) > 1 and sum(row["windows"] for row in groups[-1]) < least:
        short = groups.pop()
        groups[-1] += short
    ends = itertools.accumulate(sum(row["windows"] for row in group) for group in groups)
    return {
        "windows": list(ends),
        "bits": [_mean(group) for group in groups],
        "books": [shelf.name(group[0]["books"]) for group in groups],
    }


def _mean(rows: Sequence[dict[str, Any]]) -> float:
    windows = sum(row["windows"] for row in rows)
    return sum(row["loss_bits_per_byte"] * row["windows"] for row in rows) / windows
