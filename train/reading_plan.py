"""Which windows of which book are due: what the flags ask for less what the journal says."""

import dataclasses
import math
from typing import NamedTuple

from model.config import ModelConfig
from train.books import Book
from train.effective import effective_events
from train.life import Life
from train.windows import count_windows


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadingConfig:
    """How books are read.

    `epochs` and `steps` (windows) are totals for the named books in this model's life; None is no
    limit. `mix` reads all named books as one, their documents shuffled together. Without
    `batch_size` and `learning_rate` the pace is that of `pace_at`. The rate rises over the life's
    first `warmup_steps` reading steps and then stays. After every `rehearse_every` windows old
    lessons come back, if there are any, sooner while they are shaken, and some more times at the
    end; 0 is never.
    """

    epochs: int | None = 1
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    warmup_steps: int = 100
    mix: bool = False
    rehearse_every: int = 24
    held_out_windows: int = 16

    def __post_init__(self) -> None:
        for name in ("epochs", "steps", "batch_size", "held_out_windows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}; enlarge it.")
        if self.epochs is None and self.steps is None:
            raise ValueError("reading needs an end, got neither epochs nor steps; give one.")
        rate = self.learning_rate
        if rate is not None and not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"learning_rate must be a positive number, got {rate}; correct it.")
        for name in ("warmup_steps", "rehearse_every"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")


class Pace(NamedTuple):
    """Windows per step and the peak rate, for so many more steps."""

    batch_size: int
    learning_rate: float
    steps: float


# A young model learns most from many small steps, an older one from fewer and better ones
# (docs/first-run.md); the step count of the life decides, so that a stop changes nothing.
YOUNG_STEPS = 400
YOUNG, GROWN = Pace(1, 1e-3, YOUNG_STEPS), Pace(8, 2e-3, math.inf)


def pace_at(steps: int, reading: ReadingConfig) -> Pace:
    """The pace after `steps` reading steps of a life, and how long it lasts."""
    pace = YOUNG if steps < YOUNG_STEPS else GROWN
    return Pace(
        reading.batch_size or pace.batch_size,
        reading.learning_rate or pace.learning_rate,
        pace.steps - steps,
    )


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
    for event in effective_events(life.journal, kinds=("read", "book", "grow")):
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
    events = effective_events(life.journal, kinds=("read",))
    return list(dict.fromkeys(sha256 for event in events for sha256 in event.data["books"]))
