"""Flipped bits and cut files are noticed; what another copy or the journal has is recovered."""

import os

from soak_killed import run

# `make soak` asks for 1,000.
FLIPS = int(os.environ.get("APPRENTICE_FLIPS", "200"))


def test_no_damage_changes_the_weights_in_silence(tmp_path):
    found = run("damage_check.py", tmp_path, FLIPS, 3)
    assert sum(sum(counts.values()) for counts in found["places"].values()) == FLIPS
    assert not any(counts["silent change"] for counts in found["places"].values())
    checkpoints = found["places"]["checkpoints"]
    assert checkpoints["noticed"] == sum(checkpoints.values()) > FLIPS / 20
    assert found["unraised"] == 0, "damaged files never reach Orbax"


def test_without_checksums_the_same_damages_are_not_noticed(tmp_path):
    """The check can fail: a build that believes its files changes the weights in silence."""
    found = run("damage_check.py", tmp_path, 60, 3, "unchecked")
    assert found["places"]["checkpoints"]["silent change"] > 0
