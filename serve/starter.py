"""The starter shelf: books that come with the program, for a model that has read nothing yet."""

from pathlib import Path

from train.books import find_books

SHELF = Path(__file__).parent / "shelf"


def starter_files() -> list[Path]:
    """The files of the starter shelf."""
    return find_books([SHELF])
