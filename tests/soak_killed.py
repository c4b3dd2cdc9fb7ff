"""Kills, failing calls and crashes lose nothing; and each of these checks can fail."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# `make soak` asks for 1,000 kills, and for every state and every failing call.
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


def check(layer: Path, folder: Path, what: str, every: int) -> dict:
    return run("disk_check.py", folder, what, EVERY or every, LD_PRELOAD=str(layer))


def broken(layer: Path, folder: Path, what: str, every: int, fault: str) -> dict:
    """What is found in one lesson of a build with a deliberate fault."""
    return run("disk_check.py", folder, what, every, fault, "lesson", LD_PRELOAD=str(layer))


def test_kills_at_random_moments_lose_nothing(tmp_path):
    found = run("kill_loop.py", tmp_path, KILLS, 1)
    assert found["kills"] == KILLS and found["losses"] == 0
    # One child in ten is killed while it opens the folder.
    assert found["unopened"] < KILLS / 2 and found["acknowledged"] > KILLS / 10


def test_kills_of_a_state_on_the_disk_lose_nothing(tmp_path):
    found = run("kill_loop.py", tmp_path, KILLS, 1, "disk")
    assert found["kills"] == KILLS and found["losses"] == 0


def test_a_build_that_acknowledges_too_early_is_found_out(tmp_path):
    assert run("kill_loop.py", tmp_path, 20, 7, "broken", "teaching")["losses"] > 0


def test_every_crash_leaves_a_prefix_of_what_was_acknowledged(layer, tmp_path):
    found = check(layer, tmp_path, "states", 150)
    assert found["states"] > 1000 and found["checked"] >= found["states"] // (EVERY or 150)
    assert found["complaints"] == []


def test_a_build_that_never_syncs_is_found_out(layer, tmp_path):
    found = broken(layer, tmp_path, "states", 100, "nosync")
    assert found["complaints"]


def test_a_build_that_writes_the_conversation_after_the_row_is_found_out(layer, tmp_path):
    found = broken(layer, tmp_path, "states", 5, "late")
    assert any("another conversation" in said for said in found["complaints"])


def test_no_failing_call_loses_anything(layer, tmp_path):
    found = check(layer, tmp_path, "faults", 97)
    assert found["faults"] > 10
    assert found["complaints"] == []


def test_no_lack_of_memory_loses_anything(layer, tmp_path):
    found = check(layer, tmp_path, "memory", 197)
    assert found["faults"] > 4
    assert found["complaints"] == []


def test_a_build_that_ignores_errors_is_found_out(layer, tmp_path):
    found = broken(layer, tmp_path, "faults", 7, "swallow")
    assert found["complaints"]
