"""Contestants of a measurement take turns, and one that fails does not stop the others."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def contest(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from bench import contest

    monkeypatch.setattr(contest, "PAUSE_SECONDS", 0)
    return contest


def test_contestants_take_turns_and_failures_are_named(contest):
    def entry(name, python=sys.executable, *, seconds=1.0, fails=-1):
        task = {"seconds": seconds, "fails": fails}
        return contest.Entry(name, Path(python), "tests.contestant", task)

    entries = [
        entry("steady"),
        entry("absent", "/nowhere/.venv-none/bin/python"),
        entry("broken", fails=0),
        entry("tired", fails=2),
        entry("slow", seconds=2.0),
    ]
    found = contest.contest(entries, rounds=3)
    assert [turn["seconds"] for turn in found["steady"].turns] == [1, 2, 3]
    assert found["steady"].about == {"said": "ready"}
    assert found["slow"].seconds == 4
    assert found["absent"].missing == "no .venv-none here"
    assert found["broken"].missing.endswith("no such model")
    assert found["tired"].missing.endswith("turn 2 is one too many")
    assert not any(found[name].turns for name in ("absent", "broken", "tired"))
