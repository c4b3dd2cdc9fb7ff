"""What an undo and each kind of damage cost a life of many lessons (docs/reliability.md).

python -m bench.undo --workdir=FOLDER [--lessons=110] [--size=10m] [--only=WORDS]: makes the life (a
run that was stopped goes on), then takes back lessons and damages files of copies of it, or only
does what has WORDS in its name. Prints one JSON object
a line; `seconds` are by the clock, `processor_seconds` what this process used.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp

from model.config import new_config
from serve.compile_cache import use_compile_cache
from serve.sample import SamplingConfig
from serve.session import Session
from train.books import find_books, load_book
from train.checkpoint import list_checkpoints
from train.durable import disk_use
from train.life import create_life, is_model_folder
from train.optimizer import OptimizerConfig
from train.reading_plan import ReadingConfig
from train.step import StepConfig

SHELF = Path(__file__).parents[1] / "serve" / "shelf"
SAMPLING = SamplingConfig(replies=1, max_new_tokens=4)


def live(workdir: Path, lessons: int, size: str) -> None:
    """The life has read a little and was taught so many lessons."""
    books = [load_book(path) for path in find_books([SHELF])]
    if not is_model_folder(workdir):
        config = StepConfig(new_config(size), OptimizerConfig(), jnp.dtype("bfloat16"))
        texts = (document.text for book in books for document in book.documents if document.text)
        create_life(workdir, config, seed=0, texts=texts).close()
    with Session.open(workdir, sampling=SAMPLING) as session:
        for _ in session.read(books[:1], ReadingConfig(epochs=None, steps=16)):
            pass
        while (number := session.state.lessons) < lessons:
            started = time.process_time()
            lesson = session.say(f"What is {number}?").teach(f"It is number {number}.")
            if number == lessons - 1:
                processor = time.process_time() - started
                tell("lesson", seconds=lesson.seconds, processor_seconds=processor)


def journal_bytes(workdir: Path) -> int:
    """Bytes of the journal and its log."""
    return sum(path.stat().st_size for path in workdir.glob("journal.sqlite*"))


def tell(what: str, **figures: object) -> None:
    """One line on standard output."""
    sys.stdout.write(json.dumps({"what": what, **figures}) + "\n")
    sys.stdout.flush()


def copy(workdir: Path, to: Path) -> Path:
    """The folder is at `to` as well; checkpoints share their bytes until they are written anew."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(workdir, to, ignore=shutil.ignore_patterns("checkpoints"))
    shutil.copytree(workdir / "checkpoints", to / "checkpoints", copy_function=os.link)
    return to


def undo(workdir: Path, what: str, back: int) -> None:
    """The time of an undo of the lesson `back` from the end, in an open session, is told."""
    with Session.open(workdir, sampling=SAMPLING) as session:
        lessons = [event.id for event in session.life.journal.events(kinds=("lesson",))]
        plan = session.plan_undo(event=lessons[-back])
        timed(what, lambda: session.undo(plan), plan.replayed)


def timed(what: str, do: Callable[[], object], replayed: int | None = None) -> None:
    """What `do` takes is told, and its sentence if it is refused."""
    clock, processor = time.monotonic(), time.process_time()
    refused = None
    try:
        do()
    except ValueError as error:
        refused = str(error)
    figures = {"seconds": time.monotonic() - clock}
    figures["processor_seconds"] = time.process_time() - processor
    more = {"replayed": replayed} if replayed is not None else {}
    tell(what, **figures, **more, **({"refused": refused} if refused else {}))


def hurt(path: Path) -> None:
    """One bit in the middle of the file is another."""
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    # Under a new inode: the bytes may be shared with the undamaged life.
    path.unlink()
    path.write_bytes(raw)


def recover(workdir: Path, what: str, paths: list[Path]) -> None:
    """The time to open the folder with these files damaged is told."""
    told: list[str] = []
    for path in paths:
        hurt(workdir / path)

    def open_it() -> None:
        Session.open(workdir, sampling=SAMPLING, say=told.append).close()

    timed(what, open_it)
    for sentence in told:
        tell("sentence", text=sentence.replace(str(workdir), "…"))


def largest(folder: Path, workdir: Path) -> Path:
    """The largest file in the folder, below `workdir`."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return max(files, key=lambda path: path.stat().st_size).relative_to(workdir)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--lessons", type=int, default=110)
    parser.add_argument("--size", default="10m")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    use_compile_cache()
    workdir = options.workdir.expanduser() / "life"
    live(workdir, options.lessons, options.size)
    kept = list_checkpoints(workdir / "checkpoints")
    each = disk_use(workdir / "checkpoints") / len(kept)
    per_lesson = journal_bytes(workdir) / options.lessons
    tell("disk", journal_bytes_per_lesson=per_lesson, checkpoints=kept, bytes_each=each)
    aside = workdir.with_name("aside")
    for back in (1, 100):
        if options.only in (what := f"undo of lesson {back} from the end"):
            undo(copy(workdir, aside), what, back)
    arrays = [largest(workdir / "checkpoints" / str(event), workdir) for event in kept]
    book = largest(workdir / "books", workdir)
    for what, paths in (
        ("opening, nothing damaged", []),
        ("the newest checkpoint damaged", arrays[-1:]),
        ("the two newest damaged", arrays[-2:]),
        ("all checkpoints damaged", arrays),
        ("a book damaged", [book]),
        ("the book and all checkpoints damaged", [*arrays, book]),
        ("the journal damaged", [Path("journal.sqlite")]),
    ):
        if options.only in what:
            recover(copy(workdir, aside), what, paths)
    shutil.rmtree(aside, ignore_errors=True)


if __name__ == "__main__":
    main()
