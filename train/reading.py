"""Reading books: one gradient step per window, exact from any window on."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from train.books import Book, save_book
from train.effective import effective_events
from train.evaluate import forgetting_report
from train.life import Life, LifeState
from train.probes import known_share
from train.reading_plan import ReadingConfig, ReadingPass, books_read, next_pass, pace_at
from train.reading_rehearsal import plan_rehearsal, rehearse_after
from train.schedule import after_reading
from train.step import train_step
from train.windows import Batch

# A journal row is written after about this long; a killed program loses at most so much reading.
ROW_SECONDS = 5.0


class Progress(NamedTuple):
    """Windows of one book read since the last one, durable in the journal."""

    book: str
    step: int
    tokens: int
    loss_bits_per_byte: float
    tokens_per_second: float
    windows_read: int
    windows_wanted: int


class BookReport(NamedTuple):
    """A book read through once more: what was known before and after.

    `held_out` has the bits per byte of every book, `lessons` the share of old lessons that are
    answered word for word (None without any).
    """

    book: str
    windows: int
    seconds: float
    held_out: dict[str, dict[str, float | None]]
    lessons: dict[str, float | None]


Report = Progress | BookReport


def read_books(
    life: Life,
    state: LifeState,
    books: Sequence[Book],
    reading: ReadingConfig,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[LifeState, Report]]:
    """The state and a report after every few seconds of reading and after every book.

    Goes on where the journal says that these books were left. Each yielded state replaces the one
    before, whose arrays are gone. Ends early, at a window, when `should_stop` says so.
    """
    for book in books:
        save_book(book, life.library.folder)
    groups = [list(books)] if reading.mix else [[book] for book in books]
    last: BookReport | None = None
    while todo := next_pass(life, groups, reading, state.config.model.context):
        for later, report in _read_pass(life, state, todo, reading, last, should_stop):
            state = later
            last = report if isinstance(report, BookReport) else None
            yield state, report
        if should_stop():
            return


def finished_reports(life: Life, books: Sequence[Book], *, mix: bool) -> list[BookReport]:
    """The last report of each of these books (or of them all as one) that the journal holds."""
    groups = [list(books)] if mix else [[book] for book in books]
    wanted = [[book.sha256 for book in group] for group in groups]
    found = {}
    for event in effective_events(life.journal, kinds=("book",)):
        found[tuple(event.data["books"])] = event.data
    reports = [found[tuple(hashes)] for hashes in wanted if tuple(hashes) in found]
    return [_book_report(data) for data in reports]


def apply_read(life: Life, state: LifeState, data: dict[str, Any]) -> LifeState:
    """The state after the windows that a journal row says were read."""
    for later, _, _ in _steps(life, state, data, lambda _: data["windows"]):
        state = later
    return state._replace(memory=after_reading(state.memory, data["books"]))


def _read_pass(
    life, state, todo: ReadingPass, reading: ReadingConfig, last: BookReport | None, should_stop
):
    state, before = _open_pass(life, state, todo, reading, last)
    started = time.monotonic()
    first = todo.first
    while first < todo.stop:
        if should_stop():
            return
        state, progress = _read_row(life, state, todo._replace(first=first), reading, should_stop)
        first = progress.windows_read
        yield state, progress
    if todo.stop == todo.length:
        yield _close_pass(life, state, todo, reading, before, time.monotonic() - started)


def _open_pass(life, state, todo: ReadingPass, reading: ReadingConfig, last: BookReport | None):
    """The figures from before this pass, measured once and kept in the journal.

    Right after another pass they are those from after it, but for a book that is new.
    """
    for event in effective_events(life.journal, kinds=("open",)):
        if event.data["books"] == todo.hashes and event.data["pass"] == todo.number:
            return state, event.data
    hashes = list(dict.fromkeys([*books_read(life), *todo.hashes]))
    known = {name: found["after"] for name, found in last.held_out.items()} if last else {}
    before = forgetting_report(life, state, hashes, reading.held_out_windows, known)
    data: dict[str, Any] = {
        "books": todo.hashes,
        "pass": todo.number,
        "held_out": before,
        "lessons": last.lessons["after"] if last else known_share(life, state),
    }
    event = life.journal.append("open", data)
    return state._replace(event=event.id), data


def _close_pass(life, state, todo: ReadingPass, reading: ReadingConfig, before, seconds: float):
    """The state and the report after a whole pass."""
    after = forgetting_report(life, state, books_read(life), reading.held_out_windows)
    data = {
        "book": todo.name,
        "books": todo.hashes,
        "pass": todo.number,
        "windows": todo.length,
        "seconds": seconds,
        "held_out": {
            name: {"before": before["held_out"].get(name), "after": value}
            for name, value in after.items()
        },
        "lessons": {"before": before["lessons"], "after": known_share(life, state)},
    }
    event = life.journal.append("book", data)
    return state._replace(event=event.id), _book_report(data)


def _read_row(life, state, todo: ReadingPass, reading: ReadingConfig, should_stop):
    """Some windows read and written to the journal as one row, and the progress they made."""
    pace = pace_at(state.steps, reading)
    data: dict[str, Any] = {
        "books": todo.hashes,
        "pass": todo.number,
        "first": todo.first,
        "first_step": state.steps,
        "batch_size": pace.batch_size,
        "learning_rate": pace.learning_rate,
        "warmup_steps": reading.warmup_steps,
    }
    if planned := plan_rehearsal(state, reading.rehearse_every, todo.stop):
        data["rehearsal"] = planned
    started = time.monotonic()
    seen: list[tuple[jax.Array, Batch]] = []
    windows = 0
    left = int(min(todo.stop - todo.first, pace.steps * pace.batch_size))

    def wanted(done: int) -> int:
        late = done > 0 and (should_stop() or time.monotonic() - started > ROW_SECONDS)
        return done if late else left

    for later, done, loss_and_batch in _steps(life, state, data, wanted):
        state, windows = later, done
        seen.append(loss_and_batch)
    tokens, bits = _measure(seen, life.tokenizer.n_bytes_V)
    seconds = time.monotonic() - started
    data |= {"windows": windows, "tokens": tokens, "seconds": seconds, "loss_bits_per_byte": bits}
    event = life.journal.append("read", data)
    progress = Progress(
        book=todo.name,
        step=state.steps,
        tokens=tokens,
        loss_bits_per_byte=bits,
        tokens_per_second=tokens / seconds,
        windows_read=todo.first + windows,
        windows_wanted=todo.stop,
    )
    memory = after_reading(state.memory, todo.hashes)
    return state._replace(event=event.id, memory=memory), progress


def _steps(life, state, data: dict[str, Any], wanted: Callable[[int], int]):
    """One training step after another from a row's first window on, until `wanted(done)`."""
    context = state.config.model.context
    stream = life.library.windows(
        data["books"], seed=life.seed, pass_=data["pass"], context=context
    )
    done = 0
    previous = None
    while done < (end := wanted(done)):
        size = min(data["batch_size"], end - done)
        batch = stream.batch(data["first"] + done, data["batch_size"])
        batch = _first_rows(batch, size)
        rate = data["learning_rate"] * min(1.0, (state.steps + 1) / max(data["warmup_steps"], 1))
        train, loss = train_step(state.train, batch, rate, state.config)
        state = state._replace(train=train, steps=state.steps + 1)
        done += size
        last = data["first"] + done
        state = rehearse_after(life, state, data.get("rehearsal"), last - size, last)
        # Host work for the next window runs while the device computes this one, and no further.
        if previous is not None:
            previous.block_until_ready()
        previous = loss
        yield state, done, (loss, batch)


def _first_rows(batch: Batch, size: int) -> Batch:
    """The batch with the rows beyond `size` weighted 0, so that its shape stays."""
    if size == len(batch.weights_BT):
        return batch
    weights_BT = batch.weights_BT.copy()
    weights_BT[size:] = 0
    return dataclasses.replace(batch, weights_BT=weights_BT)


def _measure(seen: list[tuple[jax.Array, Batch]], n_bytes_V: np.ndarray) -> tuple[int, float]:
    """Targets counted, and the bits per byte that the steps saw before they learned."""
    nats, tokens, n_bytes = 0.0, 0, 0
    for loss, batch in seen:
        counted_BT = batch.weights_BT > 0
        nats += float(loss) * float(np.sum(batch.weights_BT))
        tokens += int(np.sum(counted_BT))
        n_bytes += int(np.sum(n_bytes_V[batch.targets_BT], where=counted_BT))
    return tokens, nats / math.log(2) / max(n_bytes, 1)


def _book_report(data: dict[str, Any]) -> BookReport:
    return BookReport(
        data["book"], data["windows"], data["seconds"], data["held_out"], data["lessons"]
    )
