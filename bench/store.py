"""A life whose state is on the disk or in memory: a chapter and a lesson, timed, and its SHA-256.

    python -m bench.store --workdir=NEW --size=350m --store=disk --memory=1074MB --limit=1074MB
    python -m bench.store --workdir=NEW --size=2b --store=disk --memory=9GB --talk

`--limit` puts the program into a memory control group of its own (cgroup v1 or v2, as root), which
ends it when it takes more. `--talk` makes one turn: five replies, an answer, one update by the
recipe of `--lesson` and its rehearsals. Without it there is no reply, and the lesson is of one
window. Every part is told on standard error as soon as it is done, all as one JSON object at last.
"""

import argparse
import json
import mmap
import os
import sys
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from model.chat import Message, encode_prompt
from model.config import new_config
from serve.allocator import return_freed_memory
from serve.compile_cache import use_compile_cache
from serve.sample import SamplingConfig
from serve.session import Session
from train.books import Book, load_book
from train.flat_tree import tree_digest
from train.lesson import Question, give_lesson
from train.life import Life, LifeState, create_life, is_model_folder, open_life
from train.memory import parse_bytes, peak_bytes, restart_peak
from train.optimizer import OptimizerConfig
from train.reading import read_books
from train.reading_plan import ReadingConfig
from train.recipe import RECIPES
from train.record_file import open_records
from train.replay import restore
from train.saved import save
from train.step import StepConfig
from train.store import StoreConfig

CHAPTER = Path(__file__).parents[1] / "serve" / "shelf" / "alice-in-wonderland.txt"
BANDWIDTH_BYTES = 4 * 2**30
GROUPS = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
LIMITS = ("memory.limit_in_bytes", "memory.max")
PEAKS = ("memory.max_usage_in_bytes", "memory.peak")


def main() -> None:
    """One life from birth to its first lesson."""
    arguments = _arguments()
    return_freed_memory()
    group = _limit_to(arguments.limit) if arguments.limit else None
    record = _live(arguments)
    if group is not None:
        found = [group / name for name in PEAKS if (group / name).exists()]
        record["limit_bytes"] = arguments.limit
        record["group_peak_bytes"] = int(found[0].read_text()) if found else None
    print(json.dumps(record))


def _arguments() -> argparse.Namespace:
    def size(text: str) -> int:
        return parse_bytes("size", text)

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--size", default="350m")
    parser.add_argument("--store", choices=("ram", "disk"), required=True)
    parser.add_argument("--memory", type=size, help="for the store; by default what is free")
    parser.add_argument("--limit", type=size, help="of the control group")
    parser.add_argument("--windows", type=int, default=12, help="of the chapter")
    parser.add_argument("--remat", action="store_true")
    parser.add_argument("--lesson", choices=RECIPES, default="seed", help="how --talk learns")
    parser.add_argument("--birth", action="store_true", help="save the newborn model and end")
    parser.add_argument("--talk", action="store_true")
    return parser.parse_args()


def _limit_to(n_bytes: int) -> Path:
    """This process is in a group of its own that may hold so many bytes."""
    parent = next(parent for parent in GROUPS if any((parent / name).exists() for name in PEAKS))
    group = parent / f"apprentice-{os.getpid()}"
    group.mkdir()
    limit = next(group / name for name in LIMITS if (group / name).exists())
    limit.write_text(str(n_bytes))
    (group / "cgroup.procs").write_text(str(os.getpid()))
    return group


class _Clock:
    """Seconds, bytes of the disk and the peak of memory since the last time it was asked."""

    def __init__(self) -> None:
        self._last = self._now()

    def part(self) -> dict[str, float]:
        before, self._last = self._last, self._now()
        names = ("seconds", "read_bytes", "written_bytes")
        spent = {name: now - old for name, now, old in zip(names, self._last, before, strict=True)}
        spent["peak_bytes"] = peak_bytes()
        restart_peak()
        sys.stderr.write(json.dumps(spent) + "\n")
        return spent

    def _now(self) -> tuple[float, int, int]:
        rows = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
        return time.monotonic(), int(rows["read_bytes"]), int(rows["write_bytes"])


def _live(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a new life took, part by part."""
    use_compile_cache()
    config = StepConfig(new_config(arguments.size), OptimizerConfig(), jnp.dtype("bfloat16"))
    book = load_book(CHAPTER)
    if not is_model_folder(arguments.workdir):
        texts = [document.text for document in book.documents]
        create_life(arguments.workdir, config, seed=0, texts=texts).close()
    store = StoreConfig(kind=arguments.store, memory=arguments.memory, remat=arguments.remat)
    record = {name: getattr(arguments, name) for name in ("size", "store", "memory", "remat")}
    clock = _Clock()
    with open_life(arguments.workdir, store=store) as life:
        state, _ = restore(life)
        jax.block_until_ready(state.train.params["norm_out"])
        record["birth"] = clock.part()
        if arguments.birth:
            save(life, state)
            record["save"] = clock.part()
            return record
        if not arguments.talk:
            record["bandwidth_before"] = _bandwidth(arguments.workdir)
            clock.part()
        if arguments.talk:
            state = _talk(life, state, arguments.lesson, record, clock)
        else:
            state = _study(life, state, book, arguments.windows, record, clock)
        save(life, state)
        record["save"] = clock.part()
        if not arguments.talk:
            record["sha256"] = tree_digest(state.train)
            record["digest"] = clock.part()
            record["bandwidth_after"] = _bandwidth(arguments.workdir)
    return record


def _bandwidth(folder: Path) -> dict[str, float]:
    """Bytes a second that the disk writes and reads past the page cache, in large pieces."""
    path, size = folder / "bandwidth", 32 * 2**20
    memory = mmap.mmap(-1, size)
    memory.write(os.urandom(size))
    descriptor = open_records(path, os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(descriptor, 0, BANDWIDTH_BYTES)
    found = {}
    for name, transfer in (("write", os.pwritev), ("read", os.preadv)):
        started = time.monotonic()
        for offset in range(0, BANDWIDTH_BYTES, size):
            transfer(descriptor, [memory], offset)
        os.fsync(descriptor)
        found[name] = BANDWIDTH_BYTES / (time.monotonic() - started)
    os.close(descriptor)
    path.unlink()
    return found


def _talk(
    life: Life, state: LifeState, lesson: str, record: dict[str, Any], clock: _Clock
) -> LifeState:
    """One turn as the product makes it."""
    session = Session(life, state, SamplingConfig())
    session.recipe = RECIPES[lesson]
    turn = session.say("Hello, who are you?")
    record["replies"] = clock.part()
    # A newborn model's replies may hold no word.
    turn.teach("I am your apprentice.")
    record["lesson"] = clock.part()
    session.settle()
    record["rehearsals"] = clock.part()
    return session.state


def _study(
    life: Life, state: LifeState, book: Book, windows: int, record: dict[str, Any], clock: _Clock
) -> LifeState:
    """Some windows of a book, and a lesson of one window."""
    record["windows"] = windows
    # The first step compiles.
    for steps, name in ((1, "first_window"), (1 + windows, "chapter")):
        reading = ReadingConfig(epochs=None, steps=steps, batch_size=1, held_out_windows=1)
        for later, _ in read_books(life, state, [book], reading):
            state = later
        jax.block_until_ready(state.train.params["norm_out"])
        record[name] = clock.part()
    say = "Where does Alice fall?"
    prompt = encode_prompt(life.tokenizer, [Message("user", say)], 200)
    question = Question(say, prompt)
    state, _ = give_lesson(life, state, question, "Down a well.", "teach", RECIPES["seed"])
    record["lesson"] = clock.part()
    return state


if __name__ == "__main__":
    main()
