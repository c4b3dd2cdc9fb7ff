"""Kills, failing calls and crashes lose nothing; and each of these checks can fail."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# `make soak` asks for 1,000 kills, and for every state and every failing call. Each kill needs a
# process of its own; the journal alone, which starts faster, is killed in test_journal_safety.py.
KILLS = int(os.environ.get("APPRENTICE_KILLS", "10"))
EVERY = int(os.environ.get("APPRENTICE_EVERY", "0"))


def run(script: str, *words: object, **environment: str) -> dict:
    """The JSON object that a harness prints last."""
    paths = os.pathsep.join([str(HERE.parent), str(HERE)])
    command = [sys.executable, str(HERE / script), *map(str, words)]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": paths, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(script, *words[1:], found)
    return found


@pytest.fixture(scope="module")
def layer(tmp_path_factory) -> Path:
    """The compiled layer between the program and its disk."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("the layer between a program and its disk needs a C compiler on Linux")
    built = tmp_path_factory.mktemp("layer") / "disk_layer.so"
    source = HERE / "disk_layer.c"
    command = [compiler, "-O1", "-Wall", "-shared", "-fPIC", "-o", built, source, "-lpthread"]
    subprocess.run(command, check=True)
    return built


def check(layer: Path, folder: Path, what: str, every: int, *faults: str) -> dict:
    return run("disk_check.py", folder, what, EVERY or every, *faults, LD_PRELOAD=str(layer))


def test_kills_at_random_moments_lose_nothing(tmp_path):
    found = run("kill_loop.py", tmp_path / "life", KILLS, 1)
    assert found["kills"] == KILLS and found["unopened"] == 0
    assert found["acknowledged"] > KILLS
    assert found["losses"] == 0


def test_a_build_that_acknowledges_too_early_is_found_out(tmp_path):
    assert run("kill_loop.py", tmp_path / "life", 4, 2, "broken")["losses"] > 0


def test_every_crash_leaves_a_prefix_of_what_was_acknowledged(layer, tmp_path):
    found = check(layer, tmp_path, "states", 150)
    assert found["states"] > 1000 and found["checked"] >= found["states"] // (EVERY or 150)
    assert found["complaints"] == []


def test_a_build_that_never_syncs_is_found_out(layer, tmp_path):
    found = run("disk_check.py", tmp_path, "states", 200, "nosync", LD_PRELOAD=str(layer))
    assert found["complaints"]


def test_no_failing_call_loses_anything(layer, tmp_path):
    found = check(layer, tmp_path, "faults", 97)
    assert found["faults"] > 10
    assert found["complaints"] == []


def test_no_lack_of_memory_loses_anything(layer, tmp_path):
    found = check(layer, tmp_path, "memory", 197)
    assert found["faults"] > 4
    assert found["complaints"] == []


def test_a_build_that_ignores_errors_is_found_out(layer, tmp_path):
    found = run("disk_check.py", tmp_path, "faults", 23, "swallow", LD_PRELOAD=str(layer))
    assert found["complaints"]
