"""Contestants take turns in one run (A B A B …), so that a noisy machine is noisy for all."""

import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from bench.worker import Task

ROOT = Path(__file__).parents[1]
OURS, PEERS = ROOT / ".venv" / "bin" / "python", ROOT / ".venv-peers" / "bin" / "python"
# Threads that wait for work go on spinning for some milliseconds; the next turn begins after that.
PAUSE_SECONDS = 0.3


class Entry(NamedTuple):
    """Who takes part: the module that is run, by which Python, and its task."""

    name: str
    python: Path
    module: str
    task: Task


class Result(NamedTuple):
    """What one contestant said at the start and at every turn; or why it did not take part."""

    about: dict[str, Any]
    turns: list[dict[str, Any]]
    missing: str = ""

    @property
    def seconds(self) -> float:
        return statistics.median(turn["seconds"] for turn in self.turns)


def contest(entries: list[Entry], rounds: int) -> dict[str, Result]:
    """The turns of all entries by name; one that fails is named with its reason, the rest go on."""
    found: dict[str, Result] = {}
    with contextlib.ExitStack() as stack:
        running = {}
        for entry in entries:
            try:
                contestant = stack.enter_context(_started(entry))
                found[entry.name] = Result(contestant.hear(), [])
                running[entry.name] = contestant
            except (OSError, ValueError) as error:
                found[entry.name] = Result({}, [], missing=str(error))
        for number in range(rounds):
            # Forth and back, so that nobody always comes after the same one.
            for name in list(running) if number % 2 == 0 else list(running)[::-1]:
                try:
                    found[name].turns.append(running[name].turn())
                except (OSError, ValueError) as error:
                    found[name] = Result(found[name].about, [], missing=str(error))
                    del running[name]
                time.sleep(PAUSE_SECONDS)
    return found


@contextlib.contextmanager
def _started(entry: Entry) -> Iterator["_Contestant"]:
    """The running worker of an entry; it has ended afterwards."""
    if not entry.python.exists():
        raise ValueError(f"no {entry.python.parents[1].name} here")
    with (
        tempfile.TemporaryFile() as said,
        # What PyTorch compiled in a run that was killed can be half a file.
        tempfile.TemporaryDirectory() as compiled,
        subprocess.Popen(
            [str(entry.python), "-m", entry.module, json.dumps(entry.task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            cwd=ROOT,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TORCHINDUCTOR_CACHE_DIR": compiled},
        ) as process,
    ):
        try:
            yield _Contestant(process, said)
        finally:
            assert process.stdin is not None
            with contextlib.suppress(OSError):
                process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


class _Contestant(NamedTuple):
    """A worker process, and the file of what it says on standard error."""

    process: subprocess.Popen[str]
    said: IO[bytes]

    def hear(self) -> dict[str, Any]:
        """Its next answer.

        Raises:
          ValueError: it has ended; with the last thing it said.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        code = self.process.wait()
        self.said.seek(0)
        words = self.said.read().decode(errors="replace").strip().splitlines()
        raise ValueError(words[-1][:200] if words else f"ended with {code}")

    def turn(self) -> dict[str, Any]:
        """One repetition."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self.hear()
