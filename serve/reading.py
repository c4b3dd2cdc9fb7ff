"""Reading books from the command line: what the flags say, Ctrl-C at a window, what is told."""

import contextlib
import signal
from collections.abc import Callable, Iterator

from serve.flags import Options
from serve.output import Output
from serve.session import Session
from train.books import Book
from train.reading import finished_reports
from train.reading_plan import ReadingConfig


def read_into(session: Session, books: list[Book], reading: ReadingConfig, output: Output) -> int:
    """The model has read the books, or as much as there was time for; the exit code.

    Ctrl-C ends it at a window, saved, with 130.
    """
    with _interruptible() as was_interrupted:
        anything = False
        for report in session.read(books, reading, was_interrupted):
            anything = True
            output.reading(report)
        interrupted = was_interrupted()
    output.close()
    if interrupted:
        output.say("Stopped and saved; the same command goes on from here.")
        return 130
    if not anything:
        output.say("All of this is read already.")
        for report in finished_reports(session.life, books, mix=reading.mix):
            output.reading(report)
    return 0


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C only sets what the yielded function tells, so that nothing is cut short."""
    seen: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)


def reading_config(options: Options, *, mix: bool) -> ReadingConfig:
    """How the flags say that books are read; one pass if they name no end."""
    given = {
        name: getattr(options, name)
        for name in ("batch_size", "learning_rate", "warmup_steps")
        if getattr(options, name) is not None
    }
    nothing_given = options.epochs is None and options.steps is None
    return ReadingConfig(
        epochs=1 if nothing_given else options.epochs,
        steps=options.steps,
        mix=mix,
        rehearse_every=options.rehearse_every,
        held_out_windows=options.held_out_windows,
        **given,
    )
