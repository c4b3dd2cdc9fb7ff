"""Reading lets old lessons come back, so that a book does not bury them."""

import dataclasses
import shutil

import pytest
from lives import READING, new_life, open_session, write_book

from train.flat_tree import tree_digest
from train.reading_rehearsal import plan_rehearsal, rehearse_after
from train.recall import recall
from train.recipe import Recipe
from train.relive import relive

QUICK = Recipe(learning_rate=1e-2, windows=2, own=0, readings=0, reworded=0.0)


@pytest.fixture(scope="module")
def taught_life(tmp_path_factory, alice_text):
    """A life that knows two answers by heart and has read nothing."""
    workdir = tmp_path_factory.mktemp("taught") / "life"
    new_life(workdir, alice_text)
    with open_session(workdir) as session:
        session.recipe = QUICK
        session.say("My cat?").teach("Dinah.")
        session.say("My hat?").teach("On the shelf.")
        session.sleep(20)
    return workdir


@pytest.fixture
def read(taught_life, alice_text, tmp_path):
    """Reads a book in a copy of that life; the closed folder, the losses and the exposures."""

    def run(every, name):
        workdir = tmp_path / name
        shutil.copytree(taught_life, workdir)
        book = write_book(tmp_path, alice_text, "page.txt", 4000)
        reading = dataclasses.replace(READING, rehearse_every=every)
        with open_session(workdir) as session:
            for _ in session.read([book], reading):
                pass
            state = session.state
            lost = [old.now - old.after for old in recall(session.life, state, 2)]
            return workdir, lost, [item.exposures for item in state.memory.items]

    return run


def test_lessons_come_back_while_a_book_is_read_and_outlast_it(read):
    _, lost, exposures = read(0, "alone")
    _, kept, more = read(4, "rehearsed")
    assert all(a > b for a, b in zip(more, exposures, strict=True))
    assert max(kept) < 0.5 * max(lost)


def test_at_the_end_of_a_book_lessons_come_back_as_after_a_lesson(taught_life, read):
    with open_session(taught_life) as session:
        before = [item.exposures for item in session.state.memory.items]
    workdir, _, exposures = read(4, "end")
    with open_session(workdir) as session:
        windows = sum(e.data["windows"] for e in session.life.journal.events(kinds=("read",)))
    on_the_way = (windows - 1) // 4
    more = [after - old for old, after in zip(before, exposures, strict=True)]
    assert more == [on_the_way + Recipe().rehearsals] * 2


@pytest.mark.parametrize(
    ("intervals", "now", "comes_back"),
    [((1, 3), 8, True), ((3, 3), 8, False), ((1, 3), 7, False), ((3, 3), 24, True)],
)
def test_shaken_lessons_come_back_sooner(taught_life, tmp_path, intervals, now, comes_back):
    shutil.copytree(taught_life, tmp_path / "life")
    with open_session(tmp_path / "life") as session:
        state = session.state
        items = tuple(
            item._replace(interval=interval, due=state.lessons)
            for item, interval in zip(state.memory.items, intervals, strict=True)
        )
        state = state._replace(memory=state.memory._replace(items=items))
        planned = plan_rehearsal(state, 24, 100)
        after = rehearse_after(session.life, state, planned, now - 1, now).memory.items
    come = [new.exposures > old.exposures for new, old in zip(after, items, strict=True)]
    assert come == [comes_back] * 2


def test_what_was_rehearsed_while_reading_is_lived_again(read):
    workdir, _, exposures = read(4, "life")
    with open_session(workdir) as session:
        digest = tree_digest(session.state.train)
        rows = [e.data for e in session.life.journal.events(kinds=("read",))]
        assert all(row["rehearsal"]["every"] == 4 for row in rows)
    shutil.rmtree(workdir / "checkpoints")
    with open_session(workdir) as session:
        assert tree_digest(session.state.train) == digest
        assert [item.exposures for item in session.state.memory.items] == exposures


def test_a_life_without_lessons_reads_as_ever(alice_text, tmp_path):
    digests = []
    for every in (0, 4):
        new_life(tmp_path / str(every), alice_text)
        book = write_book(tmp_path, alice_text)
        with open_session(tmp_path / str(every)) as session:
            for _ in session.read([book], dataclasses.replace(READING, rehearse_every=every)):
                pass
            digests.append(tree_digest(session.state.train))
    assert digests[0] == digests[1]


def test_what_is_made_ahead_for_a_lesson_changes_no_book(taught_life, alice_text, tmp_path):
    """A book that follows rehearses with the own replies that the last lesson had, as a replay."""
    shutil.copytree(taught_life, tmp_path / "life")
    reading = dataclasses.replace(READING, rehearse_every=2)
    with open_session(tmp_path / "life") as session:
        session.recipe = dataclasses.replace(QUICK, own=2)
        session.say("My coat?").teach("On the hook.")
        for number, start in enumerate([4000, 8000]):
            book = write_book(tmp_path, alice_text, f"page{number}.txt", start)
            for _ in session.read([book], reading):
                pass
            session.say("My cat?")
            session.settle()
        digest = tree_digest(session.state.train)
    with open_session(tmp_path / "life", read_only=True) as session:
        *_, lived = relive(session.life, tmp_path / "again")
    assert lived.equal
    with open_session(tmp_path / "again", read_only=True) as again:
        assert tree_digest(again.state.train) == digest
