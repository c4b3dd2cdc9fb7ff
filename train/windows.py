"""Documents -> training windows of `context` tokens, in an order that needs no memory."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from model.chat import encode_chat
from model.tokenizer import Tokenizer
from train.books import Book, Document

# Rows of a held-out batch: one compiled shape.
HELD_OUT_ROWS = 4


@dataclass(frozen=True, eq=False)
class EncodedDocument:
    """Tokens of one document; the first is the document mark.

    Attributes:
      ids: int32 [T].
      weights: float32 [T]; how much each token counts as a target, 0.0 for the mark.
    """

    ids: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, eq=False)
class EncodedBook:
    """A book as tokens; `sha256` is the text's, so one book keeps its order in every vocabulary."""

    name: str
    sha256: str
    documents: tuple[EncodedDocument, ...]
    held_out: tuple[EncodedDocument, ...]

    @property
    def n_tokens(self) -> int:
        """Tokens of the documents to train on."""
        return sum(len(document.ids) for document in self.documents)


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows of B rows and T tokens.

    Attributes:
      tokens_BT: int32 inputs; 0 where padded.
      targets_BT: int32, the next token of the same document; 0 where there is none.
      weights_BT: float32, of the targets; 0.0 where there is none.
      segments_BT: int32, counts the documents within a row from 0; padding is one of its own.
        Attention must not cross from one to another.
    """

    tokens_BT: np.ndarray
    targets_BT: np.ndarray
    weights_BT: np.ndarray
    segments_BT: np.ndarray


def encode_book(book: Book, tokenizer: Tokenizer) -> EncodedBook:
    """Returns the book as tokens; prose counts everywhere, conversations where B speaks."""
    documents, held_out = (
        tuple(_encode(document, tokenizer) for document in documents)
        for documents in (book.documents, book.held_out)
    )
    return EncodedBook(book.name, book.sha256, documents, held_out)


def _encode(document: Document, tokenizer: Tokenizer) -> EncodedDocument:
    if document.messages:
        ids, weights = encode_chat(tokenizer, document.messages)
    else:
        ids = [tokenizer.document, *tokenizer.encode(document.text)]
        weights = [0.0] + [1.0] * (len(ids) - 1)
    return EncodedDocument(np.array(ids, np.int32), np.array(weights, np.float32))


def count_windows(book: EncodedBook, context: int) -> int:
    """Returns the windows of one pass over the training documents."""
    _require_context(context)
    return -(-book.n_tokens // context)


def _require_context(context: int) -> None:
    if context < 1:
        raise ValueError(f"context must be at least 1 token, got {context}; enlarge it.")


@dataclass(frozen=True, eq=False)
class Pass:
    """One reading of a book: all its windows as one large batch, in the order of reading."""

    windows: Batch

    @property
    def n_windows(self) -> int:
        return len(self.windows.tokens_BT)

    def batch(self, first: int, size: int) -> Batch:
        """Returns windows `first` to `first + size`; rows after the last window are padding."""

        def rows(values_BT: np.ndarray) -> np.ndarray:
            part = values_BT[first : first + size]
            return np.pad(part, ((0, size - len(part)), (0, 0)))

        return _each(self.windows, rows)


def _each(batch: Batch, change: Callable[[np.ndarray], np.ndarray]) -> Batch:
    return Batch(
        change(batch.tokens_BT),
        change(batch.targets_BT),
        change(batch.weights_BT),
        change(batch.segments_BT),
    )


def window_stream(book: EncodedBook, *, seed: int, pass_: int, context: int) -> Pass:
    """Returns the windows of one pass; a pure function of (seed, book hash, pass, context).

    Documents are shuffled, laid end to end and cut into windows, and then the windows are
    shuffled, so that neighbouring steps do not read the same page. Every token of every training
    document is an input once, every token but a document's first is a target once, and nothing
    is predicted over a document's border.
    """
    drawn = {"seed": seed, "sha256": book.sha256, "pass_": pass_}
    order = shuffled(len(book.documents), what="documents", **drawn)
    windows = _lay([book.documents[index] for index in order], context)
    order = shuffled(len(windows.tokens_BT), what="windows", **drawn)
    return Pass(_each(windows, lambda values_BT: values_BT[order]))


def shuffled(n: int, *, what: str, seed: int, sha256: str, pass_: int) -> np.ndarray:
    """Returns a permutation of 0 to n - 1 (int64 [n]) drawn from the four values alone.

    It sorts Philox's raw numbers, which NumPy keeps the same in every version; its `permutation`
    may change (NEP 19).
    """
    key = hashlib.sha256(f"{what} {seed} {sha256} {pass_}".encode()).digest()[:16]
    draws = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(n)
    return np.argsort(draws, kind="stable")


def _lay(documents: Sequence[EncodedDocument], context: int) -> Batch:
    """Returns the documents end to end in the given order, cut into windows."""
    _require_context(context)
    lengths = [len(document.ids) for document in documents]
    n_windows = -(-sum(lengths) // context)
    tokens_T, targets_T, documents_T = np.zeros((3, n_windows * context), np.int32)
    weights_T = np.zeros(n_windows * context, np.float32)
    # Padding counts as one more document.
    documents_T[:] = len(documents)
    start = 0
    for number, (document, length) in enumerate(zip(documents, lengths, strict=True)):
        stop = start + length
        tokens_T[start:stop] = document.ids
        targets_T[start : stop - 1] = document.ids[1:]
        weights_T[start : stop - 1] = document.weights[1:]
        documents_T[start:stop] = number
        start = stop
    documents_BT = documents_T.reshape(n_windows, context)
    return Batch(
        tokens_T.reshape(n_windows, context),
        targets_T.reshape(n_windows, context),
        weights_T.reshape(n_windows, context),
        documents_BT - documents_BT[:, :1],
    )


def held_out_batches(book: EncodedBook, *, context: int, size: int) -> Iterator[Batch]:
    """Yields the held-out documents in their order, cut like a pass, `size` windows at a time."""
    if size < 1:
        raise ValueError(f"size must be at least 1 window, got {size}; enlarge it.")
    windows = Pass(_lay(book.held_out, context))
    for first in range(0, windows.n_windows, size):
        yield windows.batch(first, size)


def sample_held_out(book: EncodedBook, context: int, limit: int | None) -> list[Batch]:
    """At most `limit` held-out windows of a book, spread evenly, always the same ones."""
    windows = list(held_out_batches(book, context=context, size=1))
    if limit is not None and len(windows) > limit:
        windows = [windows[i * len(windows) // limit] for i in range(limit)]
    return [_join(windows[i : i + HELD_OUT_ROWS]) for i in range(0, len(windows), HELD_OUT_ROWS)]


def _join(windows: list[Batch]) -> Batch:
    """One batch of HELD_OUT_ROWS rows; missing rows are empty, so that one shape is compiled."""
    first = windows[0]
    names = [field.name for field in fields(Batch)]
    missing = HELD_OUT_ROWS - len(windows)
    return Batch(
        *(
            np.concatenate(
                [getattr(window, name) for window in windows]
                + [np.zeros_like(getattr(first, name))] * missing
            )
            for name in names
        )
    )


def held_out_bytes(book: EncodedBook, n_bytes_V: np.ndarray) -> int:
    """Returns the UTF-8 bytes of all held-out targets with weight 1.

    Bits per byte of the held-out text are its total nats / ln 2 / this number.
    """
    return sum(
        int(n_bytes_V[document.ids[1:][document.weights[1:] > 0]].sum())
        for document in book.held_out
    )


def join_books(books: Sequence[EncodedBook]) -> EncodedBook:
    """Returns several books as one whose order depends on all their hashes; one stays itself."""
    if len(books) == 1:
        return books[0]
    return EncodedBook(
        name=f"{len(books)} books",
        sha256=hashlib.sha256(" ".join(book.sha256 for book in books).encode()).hexdigest(),
        documents=tuple(document for book in books for document in book.documents),
        held_out=tuple(document for book in books for document in book.held_out),
    )
