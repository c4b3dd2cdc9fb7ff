"""What the scripts of both readers do with a job: SCRIPT JOB.json ANSWERS.npz

A job is {name: {"task": …, …}}; arrays come back in the .npz, everything else beside it in a .json.
"""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


def do_job(tasks: Mapping[str, Callable[[dict[str, Any]], Any]]) -> None:
    """Every task of the job named on the command line is done, and the answers are written."""
    job, answers = Path(sys.argv[1]), Path(sys.argv[2])
    found = {name: tasks[task["task"]](task) for name, task in json.loads(job.read_text()).items()}
    arrays = {name: value for name, value in found.items() if isinstance(value, np.ndarray)}
    np.savez(answers, **arrays)
    others = {name: value for name, value in found.items() if name not in arrays}
    answers.with_suffix(".json").write_text(json.dumps(others))
