"""Starts of the program on a terminal, as a contestant: python -m bench.starts TASK."""

import os
import pty
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.worker import Measure, Task, serve

PROGRAM = Path(sys.executable).with_name("apprentice")
PATIENCE_SECONDS = 600


def set_up(task: Task) -> tuple[Measure, dict]:
    """Seconds of --help; or of a start to the prompt, and from a question to all its replies.

    With `cold` every start has to compile, else the compiled functions of the start before are
    there.
    """
    kept = tempfile.TemporaryDirectory()

    def measure():
        if task["what"] == "help":
            started = time.perf_counter()
            subprocess.run([PROGRAM, "--help"], check=True, stdout=subprocess.DEVNULL)
            return {"seconds": time.perf_counter() - started}
        if task["cold"]:
            with tempfile.TemporaryDirectory() as cache:
                return _conversation(task["life"], cache)
        return _conversation(task["life"], kept.name)

    if not task.get("cold"):
        measure()
    return measure, {}


def _conversation(life: str, cache: str) -> dict:
    """Times of one start in a terminal of its own, with one question and no lesson."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "XDG_CACHE_HOME": cache, "TERM": "xterm", "COLUMNS": "100"}
    started = time.perf_counter()
    process = subprocess.Popen(
        [PROGRAM, "--mode=interactive", f"--workdir={life}"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        _await(ours, b"you>")
        ready = time.perf_counter()
        os.write(ours, b"Tell me a story.\r")
        _await(ours, b"better answer>")
        answered = time.perf_counter()
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return {"seconds": ready - started, "replies": answered - ready}


def _await(terminal: int, words: bytes) -> None:
    """The program has written the words; asked where the cursor is, a terminal answers."""
    seen = b""
    ends = time.monotonic() + PATIENCE_SECONDS
    while words not in seen:
        if time.monotonic() > ends:
            raise ValueError(f"the program did not write {words!r}")
        new = os.read(terminal, 65536)
        if b"\x1b[6n" in new:
            os.write(terminal, b"\x1b[1;1R")
        seen += new


if __name__ == "__main__":
    serve(set_up)
