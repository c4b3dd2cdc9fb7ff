"""Crash states and failing calls of a living model; run under the layer (disk_layer.c).

disk_check.py FOLDER states|faults|memory EVERY [fault] [act ...]: prints one JSON object. EVERY n
checks each n-th state or failing call, of all acts or of the named ones; n:m begins with the m-th,
so that n runs check all. A fault is deliberate, and has to be found: nosync, late, swallow.
"""

import contextlib
import ctypes
import dataclasses
import errno
import gc
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from disk_states import Disk, read_folder, read_trace, write_folder
from lives import READING, SAMPLING, new_life, write_book

import serve.session
from grow.plan import plan_growth
from model.chat import Message, format_context
from serve.compile_cache import use_compile_cache
from serve.session import Session
from train import replay
from train.context_file import read_context
from train.durable import write_file
from train.effective import undone_events
from train.flat_tree import tree_digest
from train.journal import Journal
from train.life import open_life
from train.records import Event, event_checksum
from train.talk import Talk

LAYER = ctypes.CDLL(None)
SHELF = Path(__file__).parents[1] / "serve" / "shelf" / "alice-in-wonderland.txt"
Act = Callable[[Path, Callable[[int], None]], None]


def session_act(do: Callable[[Session], object]) -> Act:
    """The folder is opened, `do` is done and acknowledged, the folder is closed."""

    def act(workdir: Path, acknowledge: Callable[[int], None]) -> None:
        with Session.open(workdir, sampling=SAMPLING) as session:
            do(session)
            acknowledge(session.state.event)

    return act


def read_more(session: Session) -> None:
    folder = Path(session.life.workdir).parent
    book = write_book(folder, SHELF.read_text(encoding="utf-8"), "other.txt", 9000)
    for _ in session.read([book], dataclasses.replace(READING, steps=3)):
        pass


def grow(session: Session) -> None:
    session.grow(plan_growth(session.state.config.model, {"depth": 2}))


ACTS: dict[str, Act] = {
    "lesson": session_act(lambda session: session.say("Who?").teach("I am yours.")),
    "book": session_act(read_more),
    "growth": session_act(grow),
    "checkpoint": session_act(lambda session: (session.forget_context(), session.save())),
    "undo": session_act(lambda session: session.undo(session.plan_undo(lessons=1))),
}


def prepare(folder: Path) -> Path:
    """A closed life that has read, learned, undone, and has as many checkpoints as it keeps."""
    workdir = folder / "life"
    text = SHELF.read_text(encoding="utf-8")
    new_life(workdir, text)
    book = write_book(folder, text, start=2000)
    with Session.open(workdir, sampling=SAMPLING) as session:
        for _ in session.read([book], dataclasses.replace(READING, steps=4)):
            pass
        for number in range(3):
            session.say("Hello").teach(f"Number {number}.")
            session.save()
        session.undo(session.plan_undo(lessons=1))
    return workdir


class Truth:
    """What every prefix of a journal has to restore to, by replay from birth."""

    def __init__(self, workdir: Path, aside: Path) -> None:
        with Journal.open(workdir / "journal.sqlite", read_only=True) as journal:
            self.events = list(journal.events())
        self._workdir, self._aside = workdir, aside
        self._digests: dict[int, str] = {}

    def digest(self, count: int) -> str:
        if count not in self._digests:
            shutil.rmtree(self._aside, ignore_errors=True)
            names = shutil.ignore_patterns("journal*", "checkpoints", "lock")
            shutil.copytree(self._workdir, self._aside, ignore=names)
            with Journal.create(self._aside / "journal.sqlite") as journal:
                journal.adopt((event, event_checksum(event)) for event in self.events[:count])
            with open_life(self._aside, read_only=True) as life:
                state, _ = replay.restore(life)
            self._digests[count] = tree_digest(state.train)
        return self._digests[count]

    def complaint(self, workdir: Path, acknowledged: int) -> str | None:
        """What is wrong with a folder after a crash, if anything."""
        try:
            told: list[str] = []
            with open_life(workdir) as life:
                events = list(life.journal.events())
                state, _ = replay.restore(life, told.append)
                talk = Talk(life.journal, life.tokenizer).contexts(undone_events(life.journal))[1]
                context = read_context(life.context_file, life.journal)
        except (ValueError, OSError) as error:
            return f"does not open: {error}"
        if len(events) < acknowledged:
            return f"{len(events)} events, {acknowledged} were acknowledged"
        if plain(events) != plain(self.events[: len(events)]):
            return "other events"
        if tree_digest(state.train) != self.digest(len(events)):
            return f"other weights after event {len(events)}"
        if context != list(talk):
            return f"another conversation after event {len(events)}: {context}"
        if damaged := [sentence for sentence in told if "damaged" in sentence]:
            return f"damage where there is none: {damaged}"
        return None


def plain(events: list[Event]) -> list[tuple[int, str]]:
    """Events without what differs between two runs: clocks."""
    return [(event.id, event.kind) for event in events]


def trace_act(act: Act, workdir: Path) -> Disk:
    """The act was done in the folder; all that a crash in it could have left."""
    before = read_folder(workdir)
    file = workdir.with_name("trace")
    LAYER.layer_watch(str(workdir).encode(), str(file).encode())
    act(workdir, lambda event: LAYER.layer_mark(str(event).encode()))
    gc.collect()
    LAYER.layer_watch(None, None)
    disk = Disk(workdir, before, read_trace(file))
    there = {name: content for name, content in read_folder(workdir).items() if content is not None}
    built = {name: data for name, data in disk.final().items() if not name.endswith("/")}
    assert built == there, "the trace does not tell all that was written"
    return disk


def check_states(folder: Path, every: int, first: int) -> dict:
    """Every n-th crash state of every act was opened."""
    prepared = prepare(folder)
    found: dict = {"states": 0, "checked": 0, "calls": 0, "complaints": []}
    for name, act in ACTS.items():
        workdir = folder / name / "life"
        shutil.copytree(prepared, workdir)
        disk = trace_act(act, workdir)
        truth = Truth(workdir, folder / name / "aside")
        found["calls"] += len(disk.trace)
        base = len(read_events(prepared))
        for done, recipe in disk.states():
            found["states"] += 1
            if (found["states"] - first) % every:
                continue
            found["checked"] += 1
            crashed = folder / name / "crashed"
            shutil.rmtree(crashed, ignore_errors=True)
            write_folder(crashed, disk.content(recipe))
            acknowledged = int(disk.acknowledged(done) or base)
            if said := truth.complaint(crashed, acknowledged):
                found["complaints"].append(f"{name}, call {done}: {said}")
    return found


def read_events(workdir: Path) -> list[Event]:
    with Journal.open(workdir / "journal.sqlite", read_only=True) as journal:
        return list(journal.events())


FAILURES = {
    "disk full from then on": (1 << 40, errno.ENOSPC),
    "one input/output error": (1, errno.EIO),
    "one time too many open files": (1, errno.EMFILE),
}


def check_faults(folder: Path, every: int, first: int) -> dict:
    """Every n-th call of every act failed, in three ways."""
    prepared = prepare(folder)
    found: dict = {"faults": 0, "complaints": []}
    for name, act in ACTS.items():
        start = folder / name
        shutil.copytree(prepared, start / "life")
        truth = reference(start, act)
        for how, (times, number) in FAILURES.items():
            for call in range(first, 1 << 30, every):
                hit, said = fail_once(start, act, truth, call, times, number)
                if not hit:
                    break
                found["faults"] += 1
                if said:
                    found["complaints"].append(f"{name}, call {call}, {how}: {said}")
    return found


def reference(start: Path, act: Act) -> Truth:
    """What the act does when nothing fails."""
    shutil.copytree(start / "life", start / "whole")
    act(start / "whole", lambda _: None)
    return Truth(start / "whole", start / "aside")


def fail_once(
    start: Path, act: Act, truth: Truth, call: int, times: int, number: int
) -> tuple[bool, str | None]:
    """Whether the call existed, and what is wrong after it failed."""
    workdir = start / "tried"
    shutil.rmtree(workdir, ignore_errors=True)
    shutil.copytree(start / "life", workdir)
    acknowledged = [len(read_events(workdir))]
    said = None
    LAYER.layer_watch(str(workdir).encode(), None)
    LAYER.layer_fail(call, times, number)
    try:
        act(workdir, acknowledged.append)
    except (ValueError, OSError):
        pass
    except Exception as error:
        said = f"{type(error).__name__} instead of a sentence: {error}"
    hit = LAYER.layer_calls() >= call
    LAYER.layer_fail(0, 0, 0)
    LAYER.layer_watch(None, None)
    if not hit:
        return False, None
    return True, said or truth.complaint(workdir, acknowledged[-1])


def check_memory(folder: Path, every: int, first: int) -> dict:
    """Every n-th call of our own functions ran out of memory."""
    prepared = prepare(folder)
    found: dict = {"faults": 0, "complaints": []}
    for name, act in ACTS.items():
        start = folder / name
        shutil.copytree(prepared, start / "life")
        truth = reference(start, act)
        for call in range(first, 1 << 30, every):
            hit, said = starve_once(start, act, truth, call)
            if not hit:
                break
            found["faults"] += 1
            if said:
                found["complaints"].append(f"{name}, call {call}: {said}")
    return found


def starve_once(start: Path, act: Act, truth: Truth, call: int) -> tuple[bool, str | None]:
    """As `fail_once`, with a MemoryError at the entry of one of our functions."""
    workdir = start / "tried"
    shutil.rmtree(workdir, ignore_errors=True)
    shutil.copytree(start / "life", workdir)
    acknowledged = [len(read_events(workdir))]
    left = [call]
    ours = tuple(str(Path(__file__).parents[1] / name) for name in ("train", "serve"))

    def starve(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(ours):
            left[0] -= 1
            if left[0] == 0:
                sys.setprofile(None)
                raise MemoryError

    said = None
    sys.setprofile(starve)
    try:
        act(workdir, acknowledged.append)
    except (MemoryError, ValueError, OSError):
        pass
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    finally:
        sys.setprofile(None)
    if left[0] > 0:
        return False, None
    gc.collect()
    return True, said or truth.complaint(workdir, acknowledged[-1])


@contextlib.contextmanager
def write_late(path: Path, journal: Journal, messages: Sequence[Message]) -> Iterator[None]:
    """A deliberate fault: the conversation is written after the event, and nothing mends it."""
    del journal
    yield
    write_file(path, format_context(messages).encode())


def break_it(fault: str) -> None:
    """The deliberate fault is in the program."""
    if fault == "nosync":
        LAYER.layer_deafen(1)
    elif fault == "late":
        serve.session.changing_context = write_late
    elif fault == "swallow":
        append = Journal.append

        def careless(self, kind, data, **talk):
            try:
                return append(self, kind, data, **talk)
            except ValueError:
                return Event((self.last() or Event(0, "", "", {})).id + 1, "", kind, data)

        Journal.append = careless
    else:
        raise ValueError(f"no such fault: {fault}")


def main() -> None:
    folder, what = Path(sys.argv[1]), sys.argv[2]
    every, _, first = sys.argv[3].partition(":")
    use_compile_cache()
    words = set(sys.argv[4:])
    for fault in words - ACTS.keys():
        break_it(fault)
    for name in ACTS.keys() - (words & ACTS.keys() or ACTS.keys()):
        del ACTS[name]
    started = time.monotonic()
    checks = {"states": check_states, "faults": check_faults, "memory": check_memory}
    found = checks[what](folder.resolve(), int(every), int(first or 1))
    found["seconds"] = time.monotonic() - started
    found["complaints_in_all"] = len(found["complaints"])
    found["complaints"] = found["complaints"][:20]
    print(json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
