"""One contestant of a measurement, in a process of its own; plain Python, for ours and for peers.

The task is JSON on the command line. Set up once, it answers each line of input with one repetition
as a JSON line, so that contestants can take turns; between turns it sleeps.
"""

import json
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Task = dict[str, Any]
Measure = Callable[[], dict[str, Any]]


def serve(set_up: Callable[[Task], tuple[Measure, dict[str, Any]]]) -> None:
    """Every line of input was answered; whatever libraries print went to standard error.

    Args:
      set_up: from a task to the function that measures once (seconds and more), warm, and what is
        to be said about it before the first turn.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    # Printed before an error is read before it.
    sys.stdout.reconfigure(line_buffering=True)

    def tell(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    measure, about = set_up(json.loads(sys.argv[1]))
    tell(about)
    for _ in sys.stdin:
        tell(measure())


def threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def peak_bytes() -> int:
    """The most memory this process held."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident_bytes() -> int:
    """The memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def prompt_ids(task: Task, turn: int) -> list[int]:
    """Another prompt at every turn, the same one for every contestant, without marks or bytes."""
    first, span = 300, task["vocab_size"] - 300
    return [first + (turn * 7919 + i * i * 31 + i * 17) % span for i in range(task["prompt"])]
