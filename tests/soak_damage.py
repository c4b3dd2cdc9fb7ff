"""Flipped bits and cut files are noticed; what another copy or the journal has is recovered."""

import contextlib
import dataclasses
import os
import random
import shutil
from pathlib import Path

import pytest
from lives import READING, new_life, open_session, write_book

from train import checkpoint
from train.flat_tree import tree_digest
from train.life import open_life
from train.replay import restore
from train.verify import damage

# `make soak` asks for 1,000.
FLIPS = int(os.environ.get("APPRENTICE_FLIPS", "200"))
# The owner may edit the context; nothing depends on the lock's content.
NOT_OURS = ("context.txt", "lock", "journal.sqlite-shm")


@pytest.fixture(scope="module")
def life(tmp_path_factory, alice_text):
    """A closed life with a book, lessons, an undo, three checkpoints and an older journal."""
    folder = tmp_path_factory.mktemp("damage")
    new_life(folder / "life", alice_text)
    book = write_book(folder, alice_text, start=2000)
    with open_session(folder / "life") as session:
        list(session.read([book], dataclasses.replace(READING, steps=6)))
        for number in range(3):
            session.say("Hello").teach(f"Number {number}.")
            session.save()
        session.undo(session.plan_undo(lessons=1))
        session.save()
    return folder / "life"


@pytest.fixture(scope="module")
def truth(life):
    return look(life)


def look(workdir: Path) -> tuple:
    """(weights, events) of a folder, and what is found damaged in it."""
    with open_life(workdir, read_only=True) as life:
        told: list[str] = []
        state, _ = restore(life, told.append)
        events = tuple(map(str, life.journal.events()))
        complaints = [*damage(life), *(sentence for sentence in told if "damaged" in sentence)]
        return (tree_digest(state.train), events), complaints


def hurt(path: Path, dice: random.Random) -> None:
    """One bit is another, or (one time in five) the end is missing."""
    raw = bytearray(path.read_bytes())
    place = dice.randrange(len(raw))
    if dice.random() < 0.2:
        del raw[place:]
    else:
        raw[place] ^= 1 << dice.randrange(8)
    path.write_bytes(raw)


def harm(life: Path, truth: tuple, workdir: Path, times: int, seed: int) -> dict[str, int]:
    """Counts of what became of so many damages, each to a whole copy of the life."""
    dice = random.Random(seed)
    names = sorted(
        path.relative_to(life)
        for path in life.rglob("*")
        if path.is_file() and path.name not in NOT_OURS and path.stat().st_size
    )
    counts = dict.fromkeys(("refused", "recovered", "without effect", "silent change"), 0)
    shutil.copytree(life, workdir)
    for _ in range(times):
        name = dice.choice(names)
        hurt(workdir / name, dice)
        try:
            found, complaints = look(workdir)
        except ValueError as error:
            assert "restore" in str(error) or "install a newer version" in str(error)
            # The journal and what only exists once may be refused, a checkpoint never.
            assert name.parts[0] != "checkpoints", error
            counts["refused"] += 1
        else:
            if found != truth[0]:
                counts["silent change"] += 1
            elif complaints:
                counts["recovered"] += 1
            else:
                # Bytes that SQLite does not use, or does not need.
                assert name.name == "journal.sqlite", name
                counts["without effect"] += 1
        shutil.copyfile(life / name, workdir / name)
        for extra in workdir.glob("journal.sqlite-*"):
            extra.unlink()
    return counts


def test_no_damage_changes_the_weights_in_silence(life, truth, tmp_path):
    assert truth[1] == []
    counts = harm(life, truth, tmp_path / "life", FLIPS, seed=3)
    print(counts)
    assert counts["silent change"] == 0
    assert counts["recovered"] > FLIPS / 3 and counts["refused"] > FLIPS / 20


class Anything:
    """Equal to whatever it is compared with."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


def test_without_checksums_the_same_damages_are_not_noticed(life, truth, tmp_path, monkeypatch):
    """The check can fail: a build that believes its files changes the weights in silence."""
    monkeypatch.setattr(checkpoint, "verify_files", lambda *_: None)
    monkeypatch.setattr(checkpoint, "tree_digest", lambda _: Anything())
    newest = life / "checkpoints" / str(checkpoint.list_checkpoints(life / "checkpoints")[-1])
    arrays = [path for path in sorted(newest.rglob("*")) if path.is_file() and path.suffix == ""]
    dice = random.Random(3)
    changed = 0
    for number in range(12):
        workdir = tmp_path / str(number)
        shutil.copytree(life, workdir)
        hurt(workdir / dice.choice(arrays).relative_to(life), dice)
        with contextlib.suppress(ValueError):
            changed += look(workdir)[0] != truth[0]
    assert changed > 0
