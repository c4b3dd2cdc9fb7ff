"""Which windows of which book are due: what the flags ask for less what the journal says."""

import dataclasses
import math
from typing import NamedTuple

from model.config import ModelConfig
from train.books import Book
from train.life import Life
from train.windows import count_windows


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadingConfig:
    """How books are read.

    `epochs` and `steps` (windows) are totals for the named books in this model's life; None is no
    limit. `mix` reads all named books as one, their documents shuffled together. The rate rises
    over the life's first `warmup_steps` reading steps and then stays.
    """

    epochs: int | None = 1
    steps: int | None = None
    batch_size: int = 8
    learning_rate: float = 2e-3
    warmup_steps: int = 50
    mix: bool = False
    held_out_windows: int = 16

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "batch_size", "held_out_windows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}; enlarge it.")
        if self.epochs is None and self.steps is None:
            raise ValueError("reading needs an end, got neither epochs nor steps; give one.")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ValueError(
                f"learning_rate must be a positive number, got {self.learning_rate}; correct it."
            )
        if self.warmup_steps < 0:
            raise ValueError(f"warmup_steps must be at least 0, got {self.warmup_steps}.")


class ReadingPass(NamedTuple):
    """One pass over one book (or several as one), and the window where it is to stop."""

    name: str
    hashes: list[str]
    number: int
    first: int
    stop: int
    length: int


def next_pass(
    life: Life, groups: list[list[Book]], reading: ReadingConfig, context: int
) -> ReadingPass | None:
    """The pass that is due: every book's first pass, then every book's second, …"""
    positions = [_position(life, group, context) for group in groups]
    total = sum(read for _, _, read, _ in positions)
    left = math.inf if reading.steps is None else reading.steps - total
    if left <= 0:
        return None
    group, (number, first, _, length) = min(
        zip(groups, positions, strict=True), key=lambda pair: pair[1][0]
    )
    if reading.epochs is not None and number >= reading.epochs:
        return None
    stop = int(min(length, first + left))
    name = group[0].name if len(group) == 1 else f"{len(group)} books"
    return ReadingPass(name, [book.sha256 for book in group], number, first, stop, length)


def _position(life: Life, group: list[Book], context: int) -> tuple[int, int, int, int]:
    """Pass, next window, windows read in all passes, and windows in a pass."""
    hashes = [book.sha256 for book in group]
    length = count_windows(life.library.get(hashes), context)
    number = first = total = 0
    windows_of = life.birth_config.model.context
    for event in life.journal.events(kinds=("read", "book", "grow")):
        if event.kind == "grow":
            # Other windows: a pass that a longer context interrupts begins anew.
            longer = ModelConfig.from_json(event.data["model"]).context
            first, windows_of = first if longer == windows_of else 0, longer
        elif event.data["books"] == hashes and event.kind == "read":
            number, first = event.data["pass"], event.data["first"] + event.data["windows"]
            total += event.data["windows"]
        elif event.data["books"] == hashes:
            number, first = event.data["pass"] + 1, 0
    return number, first, total, length


def books_read(life: Life) -> list[str]:
    """The content hashes of all books read, in the order of their first window."""
    events = life.journal.events(kinds=("read",))
    return list(dict.fromkeys(sha256 for event in events for sha256 in event.data["books"]))
