"""A longer life with books, lessons, a growth and undos is the same lived again, on any threads."""

import dataclasses
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from lives import READING, new_life, open_session, write_book

from grow.plan import plan_growth
from train.flat_tree import tree_digest

# `make soak` asks for 200.
LESSONS = int(os.environ.get("APPRENTICE_LESSONS", "0"))
# XLA makes as many threads as it may use cores.
PROGRAM = """
import os, sys
last = os.cpu_count()
os.sched_setaffinity(0, range(last - int(sys.argv.pop(1)), last))
from serve.main import run
run()
"""
UNDOS = max(2, LESSONS // 20)


def live(workdir: Path, folder: Path, text: str) -> str:
    """Three books, lessons between them, a growth, and undos now and then; returns the digest."""
    new_life(workdir, text)
    dice = random.Random(5)
    undo_after = set(dice.sample(range(2, LESSONS), UNDOS))
    books = [write_book(folder, text, f"{n}.txt", 2000 + 4000 * n) for n in range(3)]
    with open_session(workdir) as session:
        for number in range(LESSONS):
            if number % (LESSONS // 3) == 0 and books:
                list(session.read([books.pop()], dataclasses.replace(READING, steps=12)))
            if number == LESSONS // 2:
                layers = session.state.config.model.n_layers + 1
                session.grow(plan_growth(session.state.config.model, {}, {"n_layers": layers}))
            turn = session.say(f"What is {number}?")
            worded = turn.replies[0].text.strip()
            turn.pick(1) if number % 2 and worded else turn.teach(f"It is {number}.")
            if number in undo_after:
                lessons = session.life.journal.events(kinds=("lesson",))
                event = dice.choice([event.id for event in lessons])
                try:
                    session.undo(session.plan_undo(event=event))
                except ValueError:
                    session.undo(session.plan_redo())
        return tree_digest(session.state.train)


@pytest.mark.skipif(LESSONS < 6, reason="minutes; make soak runs it")
def test_a_life_is_the_same_lived_again_on_one_core_and_on_two(tmp_path, alice_text):
    digest = live(tmp_path / "life", tmp_path, alice_text)
    for cores in (1, 2):
        into = tmp_path / f"again{cores}"
        flags = f"--mode=replay --json --workdir={tmp_path / 'life'} --into={into}".split()
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(cores), *flags],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        *_, last, summary = map(json.loads, done.stdout.splitlines())
        assert summary["equal"] and summary["largest_difference"] == 0.0
        assert last["sha256"] == digest
