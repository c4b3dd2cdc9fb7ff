"""Flips bits and cuts files of a folder, one at a time, and counts what became of it.

Run as a program: damage_check.py FOLDER TIMES SEED [unchecked]. Each damage is done to a whole copy
of the life and mended again. The last line of standard output is a JSON object with the counts.
`unchecked` is deliberate: a build that believes its checkpoints, which has to be found out.
"""

import dataclasses
import json
import os
import random
import shutil
import sys
from pathlib import Path

from lives import READING, new_life, open_session, write_book

from serve.compile_cache import use_compile_cache
from train import checkpoint
from train.flat_tree import tree_digest
from train.life import open_life
from train.replay import restore
from train.verify import damage

SHELF = Path(__file__).parents[1] / "serve" / "shelf" / "alice-in-wonderland.txt"
# The owner may edit the context; nothing depends on what lock and head hold.
NOT_OURS = ("context.txt", "lock", "journal.sqlite-shm", "journal.head")
KINDS = ("refused", "noticed", "without effect", "silent change")


def prepare(folder: Path) -> Path:
    """A closed life with a book, lessons, an undo, three checkpoints and rows in the WAL."""
    text = SHELF.read_text(encoding="utf-8")
    new_life(folder / "life", text)
    book = write_book(folder, text, start=2000)
    session = open_session(folder / "life")
    list(session.read([book], dataclasses.replace(READING, steps=6)))
    for number in range(3):
        session.say("Hello").teach(f"Number {number}.")
        session.save()
    session.undo(session.plan_undo(lessons=1))
    session.save()
    # Copied while open, so that the WAL is still there.
    shutil.copytree(folder / "life", folder / "whole")
    session.close()
    return folder / "whole"


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


def outcome(workdir: Path, name: Path, truth: tuple) -> str:
    """One of KINDS, for a folder in which the file `name` was damaged."""
    try:
        found, complaints = look(workdir)
    except ValueError as error:
        assert "restore" in str(error) or "install a newer version" in str(error), error
        # The journal and what only exists once may be refused, a checkpoint never.
        assert name.parts[0] != "checkpoints", error
        return "refused"
    if found != truth:
        # Rows that the WAL lost leave a prefix, the life as it was, and are missed.
        cut = name.name == "journal.sqlite-wal" and found[1] == truth[1][: len(found[1])]
        return "noticed" if cut and complaints else "silent change"
    if complaints:
        return "noticed"
    # Bytes that SQLite does not use, or does not need.
    return "without effect" if name.name.startswith("journal.sqlite") else "silent change"


def harm(life: Path, workdir: Path, times: int, seed: int) -> dict:
    """Counts of what became of so many damages, by where they were."""
    truth, complaints = look(life)
    assert not complaints, complaints
    dice = random.Random(seed)
    places: dict[str, list[Path]] = {}
    for path in sorted(life.rglob("*")):
        if path.is_file() and path.name not in NOT_OURS and path.stat().st_size:
            name = path.relative_to(life)
            places.setdefault(name.parts[0], []).append(name)
    counts = {place: dict.fromkeys(KINDS, 0) for place in places}
    shutil.copytree(life, workdir)
    for _ in range(times):
        place = dice.choice(sorted(places))
        name = dice.choice(places[place])
        hurt(workdir / name, dice)
        counts[place][outcome(workdir, name, truth)] += 1
        for extra in workdir.glob("journal.*"):
            extra.unlink()
        for file in {name, *(path.relative_to(life) for path in life.glob("journal.*"))}:
            shutil.copyfile(life / file, workdir / file)
    return counts


class Anything:
    """Equal to whatever it is compared with."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


def main() -> None:
    folder, times, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    use_compile_cache()
    unraised: list[str] = []
    life = prepare(folder)
    if sys.argv[4:] == ["unchecked"]:
        checkpoint.verify_files = lambda *_: None
        checkpoint.tree_digest = lambda _: Anything()
    # A load that Orbax gives up half-way goes on in its threads, which then find their event loop
    # closed. That may only happen where damaged files reach Orbax, in the unchecked build.
    sys.unraisablehook = lambda found: unraised.append(str(found.exc_value))
    places = harm(life, folder / "hurt", times, seed)
    print(json.dumps({"times": times, "places": places, "unraised": len(unraised)}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
