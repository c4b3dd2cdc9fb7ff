"""The books of a model folder, encoded once per process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.tokenizer import Tokenizer
from train.books import load_saved_book
from train.rehearsal import Shelf, make_shelf
from train.windows import (
    Batch,
    EncodedBook,
    Pass,
    encode_book,
    join_books,
    sample_held_out,
    window_stream,
)


class Library:
    """The books of a model folder by content hash, encoded once per process."""

    def __init__(self, folder: Path, tokenizer: Tokenizer) -> None:
        self.folder = folder
        self._tokenizer = tokenizer
        self._encoded: dict[tuple[str, ...], EncodedBook] = {}
        self._pass: tuple[Any, Pass | None] = (None, None)
        self._shelf: tuple[Any, Shelf | None] = (None, None)
        self._held_out: tuple[Any, list[Batch]] = (None, [])

    def get(self, hashes: Sequence[str]) -> EncodedBook:
        """These books as one; read from the folder and verified when asked for first."""
        key = tuple(hashes)
        if key not in self._encoded:
            if len(key) == 1:
                book = load_saved_book(self.folder, key[0])
                self._encoded[key] = encode_book(book, self._tokenizer)
            else:
                self._encoded[key] = join_books([self.get([sha256]) for sha256 in key])
        return self._encoded[key]

    def shelf(self, hashes: Sequence[str]) -> Shelf:
        """What lessons rehearse of these books; the last one asked for is kept."""
        key = tuple(hashes)
        known, shelf = self._shelf
        if shelf is None or known != key:
            shelf = make_shelf([self.get([sha256]) for sha256 in key])
            self._shelf = (key, shelf)
        return shelf

    def held_out(self, hashes: Sequence[str], context: int, limit: int) -> list[Batch]:
        """A sample of these books' held-out windows; the last one asked for is kept."""
        key = (tuple(hashes), context, limit)
        if self._held_out[0] != key:
            self._held_out = (key, sample_held_out(self.get(hashes), context, limit))
        return self._held_out[1]

    def windows(self, hashes: Sequence[str], *, seed: int, pass_: int, context: int) -> Pass:
        """One pass over these books as one; the last pass asked for is kept."""
        key = (tuple(hashes), seed, pass_, context)
        known, windows = self._pass
        if windows is None or known != key:
            windows = window_stream(self.get(hashes), seed=seed, pass_=pass_, context=context)
            self._pass = (key, windows)
        return windows
