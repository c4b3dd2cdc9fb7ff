"""Kills a living model with SIGKILL again and again, and counts what was lost.

Run as a program: kill_loop.py FOLDER KILLS SEED [broken] [disk] [KIND ...], with `disk` for states
that live on it. One process imports everything once and forks a child for each life span, before
any thread is started; the child opens the folder, does one kind of thing again and again, and tells
through a pipe what it has acknowledged, until it is killed at a random moment of it. A life that
was killed LIFE_KILLS times is compared with its replay from birth, and another begins. The last
line of standard output is a JSON object of counts.
"""

import dataclasses
import json
import os
import random
import select
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from lives import READING, SAMPLING, new_life, tiny_config, write_book
from orbax.checkpoint import v1  # noqa: F401

from grow.plan import plan_growth
from serve.compile_cache import use_compile_cache
from serve.session import Session
from train.effective import effective_events, undone_events
from train.flat_tree import tree_digest
from train.journal import Journal
from train.life import open_life
from train.optimizer import OptimizerConfig
from train.records import Event, utc_now
from train.replay import apply_events, newborn, restore, training_events
from train.residency import least_bytes
from train.state import abstract_state
from train.store import StoreConfig
from train.talk import Talk

LIFE_KILLS = 50
SHELF = Path(__file__).parents[1] / "serve" / "shelf" / "alice-in-wonderland.txt"


def teach(session: Session, dice: random.Random) -> None:
    session.say(f"Hello {dice.randrange(9)}").teach(f"Yes, {dice.randrange(9)}.")


def read(session: Session, dice: random.Random) -> None:
    steps = session.state.steps + dice.randrange(1, 4)
    folder = session.life.workdir.parent
    book = write_book(folder, SHELF.read_text(encoding="utf-8"))
    reading = dataclasses.replace(READING, epochs=None, steps=steps)
    for _ in session.read([book], reading):
        pass


def save(session: Session, dice: random.Random) -> None:
    del dice
    session.forget_context()
    session.save()


def undo(session: Session, dice: random.Random) -> None:
    if session.state.lessons:
        lessons = dice.randrange(1, min(4, session.state.lessons + 1))
        session.undo(session.plan_undo(lessons=lessons))
    else:
        session.undo(session.plan_redo())


def grow(session: Session, dice: random.Random) -> None:
    """Larger by a layer; a model that has grown is small again."""
    del dice
    grown = [event.id for event in effective_events(session.life.journal, kinds=("grow",))]
    if grown:
        session.undo(session.plan_undo(event=grown[0]))
    else:
        model = session.state.config.model
        session.grow(plan_growth(model, {}, {"n_layers": model.n_layers + 1}))


# What a child does, and how often it is chosen.
KINDS: dict[str, tuple[Callable[[Session, random.Random], None], float]] = {
    "teaching": (teach, 0.3),
    "reading": (read, 0.2),
    "saving": (save, 0.2),
    "undoing": (undo, 0.2),
    "growing": (grow, 0.1),
}


def chosen_store() -> StoreConfig:
    """Where the states are: with `disk` nothing of them stays in memory. For a child alone."""
    if "disk" not in sys.argv:
        return StoreConfig()
    model = tiny_config().model
    return StoreConfig(kind="disk", memory=least_bytes(abstract_state(model, OptimizerConfig())))


def work(workdir: Path, kind: str, seed: int, tell, broken: bool) -> None:
    """Opens the folder and does one kind of thing, for ever; `tell` after each time."""
    use_compile_cache()
    dice = random.Random(seed)
    if broken:
        acknowledge_too_early()
    with Session.open(workdir, sampling=SAMPLING, store=chosen_store()) as session:
        journal = session.life.journal
        _, talk = Talk(journal, session.life.tokenizer).contexts(undone_events(journal))
        tell(session, session.context() == list(talk))
        while True:
            KINDS[kind][0](session, dice)
            tell(session, True)


def acknowledge_too_early() -> None:
    """The deliberate fault: rows wait in memory until four are there."""
    append, last, waiting = Journal.append, Journal.last, []

    def late(self, kind, data, **talk):
        event = Event(late_last(self).id + 1, utc_now(), kind, data)
        waiting.append((event, talk))
        if len(waiting) >= 4:
            for row, words in waiting:
                append(self, row.kind, row.data, **words)
            waiting.clear()
        return event

    def late_last(self):
        return waiting[-1][0] if waiting else last(self)

    Journal.append, Journal.last = late, late_last


class Clock:
    """Seconds that opening and each kind of thing took lately, so that kills are spread over it."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    def guess(self, kind: str) -> float:
        return self._seconds.get(kind, 1.0)

    def took(self, kind: str, seconds: float) -> None:
        self._seconds[kind] = seconds


def live_once(workdir: Path, kind: str, seed: int, clock: Clock, broken: bool) -> list:
    """One child from its opening to its kill; returns what it told: [event, digest, fits]."""
    dice = random.Random(seed)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read_end)

            def tell(session: Session, fits: bool) -> None:
                line = json.dumps([session.state.event, tree_digest(session.state.train), fits])
                os.write(write_end, line.encode() + b"\n")

            work(workdir, kind, seed, tell, broken)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(write_end)
    # One time in ten while it opens; else in the first or the second thing that it does.
    part = dice.choices(("opening", kind, f"{kind} again"), (0.1, 0.6, 0.3))[0]
    told = _listen(read_end, child, kind, part, dice.random(), clock)
    os.close(read_end)
    return told


def _listen(read_end: int, child: int, kind: str, part: str, share: float, clock: Clock) -> list:
    """What is told until the kill, at this share of this part; then the pipe's rest."""
    names = ["opening", kind, f"{kind} again"]
    raw, started = b"", time.monotonic()
    deadline = started + (share * clock.guess(part) if part == "opening" else 120)
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([read_end], [], [], left)
        chunk = os.read(read_end, 1 << 16) if ready else b""
        if not chunk:
            break
        raw += chunk
        now, done = time.monotonic(), raw.count(b"\n")
        if done <= len(names):
            clock.took(names[done - 1], now - started)
        if names[min(done, 2)] == part:
            deadline = now + share * clock.guess(part)
        started = now
    os.kill(child, signal.SIGKILL)
    while chunk := os.read(read_end, 1 << 16):
        raw += chunk
    os.waitpid(child, 0)
    return [json.loads(line) for line in raw.split(b"\n")[:-1]]


def main() -> None:
    folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    words = sys.argv[4:]
    broken = "broken" in words
    for kind in KINDS.keys() - (set(words) & KINDS.keys() or KINDS.keys()):
        del KINDS[kind]
    warnings.simplefilter("ignore")
    if not (folder / "born").exists():
        in_child(lambda: prepare(folder / "born"))
    counts = {name: 0 for name in ("kills", "losses", "acknowledged", "unopened", "events")}
    counts |= dict.fromkeys(KINDS, 0)
    clock = Clock()
    for first in range(0, kills, LIFE_KILLS):
        shutil.rmtree(folder / "life", ignore_errors=True)
        shutil.copytree(folder / "born", folder / "life")
        numbers = range(first, min(kills, first + LIFE_KILLS))
        one_life(folder / "life", [seed * 100_003 + n for n in numbers], clock, counts, broken)
    print(json.dumps(counts), flush=True)


def prepare(workdir: Path) -> None:
    """A life that has read a little and had two lessons."""
    new_life(workdir, SHELF.read_text(encoding="utf-8"))
    use_compile_cache()
    dice = random.Random(0)
    with Session.open(workdir, sampling=SAMPLING, store=chosen_store()) as session:
        read(session, dice)
        teach(session, dice)
        teach(session, dice)


def one_life(workdir: Path, seeds: list[int], clock: Clock, counts: dict, broken: bool) -> None:
    """The life was killed once for each seed; the counts have what came of it."""
    before: list[Event] = []
    promised = None
    for seed in seeds:
        weights = [weight for _, weight in KINDS.values()]
        kind = random.Random(-seed).choices(list(KINDS), weights)[0]
        told = live_once(workdir, kind, seed, clock, broken)
        counts["kills"] += 1
        counts[kind] += 1
        if not told:
            counts["unopened"] += 1
            continue
        events = read_events(workdir)
        counts["losses"] += broken_promises(events, before, promised, told)
        counts["acknowledged"] += len(told) - 1
        before, promised = events, told[-1]
    counts["events"] += len(before)
    counts["losses"] += in_child(lambda: int(not replays_to_itself(workdir))) if before else 1


def broken_promises(events: list, before: list, promised: list | None, told: list) -> int:
    """How many of these are not so: no event is lost or changed, no weights are others."""
    first, last = told[0], told[-1]
    lost = events[: len(before)] != before
    lost += last[0] > len(events) or not first[2]
    if promised is not None:
        later = {event.kind for event in events if promised[0] < event.id <= first[0]}
        lost += first[0] < promised[0]
        lost += not later & {"lesson", "read", "undo", "grow"} and first[1] != promised[1]
    return lost


def replays_to_itself(workdir: Path) -> bool:
    """Whether checkpoints and journal give what the whole life gives that is lived from birth."""
    use_compile_cache()
    with open_life(workdir) as life:
        whole = apply_events(life, newborn(life), training_events(life))
        return tree_digest(restore(life)[0].train) == tree_digest(whole.train)


def in_child(task: Callable[[], int | None]) -> int:
    """What the task returns, done in a fork, so that this process stays without threads."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(task() or 0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def read_events(workdir: Path) -> list:
    """Every event of the journal."""
    with Journal.open(workdir / "journal.sqlite", read_only=True) as journal:
        return list(journal.events())


if __name__ == "__main__":
    main()
