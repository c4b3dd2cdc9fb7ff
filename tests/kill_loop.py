"""Kills a living model with SIGKILL again and again, and counts what was lost.

Run as a program: kill_loop.py WORKDIR KILLS SEED [broken]. One process imports everything once and
forks a child for each life span, before any thread is started; the child opens the folder, works,
and tells through a pipe what it has acknowledged, until it is killed at a random moment. The last
line of standard output is a JSON object with the counts.
"""

import dataclasses
import json
import os
import random
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

from lives import READING, SAMPLING, new_life, write_book

from serve.compile_cache import use_compile_cache
from serve.session import Session
from train.flat_tree import tree_digest
from train.journal import Journal
from train.life import open_life
from train.records import Event, utc_now
from train.replay import apply_events, newborn, restore, training_events

LONGEST_SECONDS = 0.3
SHELF = Path(__file__).parents[1] / "serve" / "shelf" / "alice-in-wonderland.txt"


def work(workdir: Path, book_folder: Path, seed: int, tell, broken: bool) -> None:
    """Opens the folder and goes on living at random, for ever; `tell` after each thing done."""
    use_compile_cache()
    dice = random.Random(seed)
    if broken:
        acknowledge_too_early()
    with Session.open(workdir, sampling=SAMPLING) as session:
        tell(session)
        while True:
            step(session, dice, book_folder)
            tell(session)


def step(session: Session, dice: random.Random, folder: Path) -> None:
    """One thing that a person might do."""
    choice = dice.random()
    if choice < 0.45:
        session.say(f"Hello {dice.randrange(9)}").teach(f"Yes, {dice.randrange(9)}.")
    elif choice < 0.65:
        steps = session.state.steps + dice.randrange(1, 4)
        book = write_book(folder, (folder / "text").read_text(encoding="utf-8"))
        reading = dataclasses.replace(READING, epochs=None, steps=steps)
        for _ in session.read([book], reading):
            pass
    elif choice < 0.8:
        session.save()
    elif choice < 0.95:
        if session.state.lessons:
            lessons = dice.randrange(1, min(4, session.state.lessons + 1))
            session.undo(session.plan_undo(lessons=lessons))
    else:
        session.forget_context()


def acknowledge_too_early() -> None:
    """The deliberate fault: rows wait in memory until four are there."""
    append, waiting = Journal.append, []

    def late(self, kind, data, **talk):
        last = self.last()
        waiting.append((kind, data, talk))
        event = Event((last.id if last else 0) + len(waiting), utc_now(), kind, data)
        if len(waiting) >= 4:
            for kind, data, talk in waiting:
                append(self, kind, data, **talk)
            waiting.clear()
        return event

    Journal.append = late


def live_once(workdir: Path, seed: int, broken: bool) -> list:
    """One child from its opening to its kill; returns what it told: [event, digest] pairs."""
    dice = random.Random(seed)
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read_end)

            def tell(session: Session) -> None:
                line = json.dumps([session.state.event, tree_digest(session.state.train)])
                os.write(write_end, line.encode() + b"\n")

            work(workdir, workdir.parent, seed, tell, broken)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(write_end)
    told = _listen(read_end, child, dice.randrange(6), dice.random() * LONGEST_SECONDS)
    os.close(read_end)
    return told


def _listen(read_end: int, child: int, things: int, seconds: float) -> list:
    """What is told until `seconds` after so many things; then the kill, and the pipe's rest."""
    raw = b""
    deadline = time.monotonic() + 120
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([read_end], [], [], left)
        chunk = os.read(read_end, 1 << 16) if ready else b""
        if not chunk:
            break
        if raw.count(b"\n") <= things < (raw + chunk).count(b"\n"):
            deadline = time.monotonic() + seconds
        raw += chunk
    os.kill(child, signal.SIGKILL)
    while chunk := os.read(read_end, 1 << 16):
        raw += chunk
    os.waitpid(child, 0)
    return [json.loads(line) for line in raw.split(b"\n")[:-1]]


def main() -> None:
    workdir, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    broken = sys.argv[4:] == ["broken"]
    warnings.simplefilter("ignore")
    text = SHELF.read_text(encoding="utf-8")
    (workdir.parent / "text").write_text(text, encoding="utf-8")
    in_child(lambda: new_life(workdir, text))
    counts = {"kills": 0, "losses": 0, "acknowledged": 0, "unopened": 0, "events": 0}
    before: list[Event] = []
    promised = None
    for number in range(kills):
        told = live_once(workdir, seed * 100_003 + number, broken)
        counts["kills"] += 1
        if not told:
            counts["unopened"] += 1
            continue
        events = read_events(workdir)
        counts["losses"] += broken_promises(events, before, promised, told)
        counts["acknowledged"] += len(told) - 1
        before, promised = events, told[-1]
    counts["events"] = len(before)
    counts["losses"] += in_child(lambda: int(not replays_to_itself(workdir))) if before else 1
    print(json.dumps(counts), flush=True)


def broken_promises(events: list, before: list, promised: list | None, told: list) -> int:
    """How many of these are not so: no event is lost or changed, no weights are others."""
    first, last = told[0], told[-1]
    lost = events[: len(before)] != before
    lost += last[0] > len(events)
    if promised is not None:
        later = {event.kind for event in events if promised[0] < event.id <= first[0]}
        lost += first[0] < promised[0]
        lost += not later & {"lesson", "read", "undo"} and first[1] != promised[1]
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
