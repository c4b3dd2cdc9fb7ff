"""After an undo a life is, to the bit, the one in which the undone events never happened."""

import dataclasses
import shutil

import pytest
from lives import READING, new_life, open_session, write_book

from train.effective import effective_events
from train.flat_tree import tree_digest
from train.reading_plan import books_read
from train.records import Event
from train.replay import training_events
from train.undo import plan_undo

TAUGHT = [("Who are you?", "I am yours."), ("And I?", "You are Ada."), ("Where?", "At home.")]


@pytest.fixture(scope="module")
def books(tmp_path_factory, alice_text):
    folder = tmp_path_factory.mktemp("books")
    return [
        write_book(folder, alice_text, "first.txt", 2000),
        write_book(folder, alice_text, "second.txt", 9000),
    ]


@pytest.fixture(scope="module")
def born(tmp_path_factory, alice_text, books):
    """A life that has read the first book."""
    workdir = tmp_path_factory.mktemp("born") / "life"
    new_life(workdir, alice_text)
    with open_session(workdir) as session:
        list(session.read(books[:1], READING))
    return workdir


@pytest.fixture
def life(born, tmp_path):
    def copy(name):
        shutil.copytree(born, tmp_path / name)
        return tmp_path / name

    return copy


def teach(session, *numbers):
    return [session.say(TAUGHT[n][0]).teach(TAUGHT[n][1]).event for n in numbers]


def words(session):
    """What the context file holds."""
    path = session.life.context_file
    return path.read_text() if path.exists() else ""


def fingerprint(session):
    """Weights and moments, counts, conversation, and what it says next."""
    replies = [session.say(text).replies for text in ("Hello", "Hello")]
    state = session.state
    return tree_digest(state.train), state.steps, state.lessons, words(session), replies


@pytest.mark.parametrize("undone", [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]])
def test_an_undone_lesson_never_happened(life, undone):
    with open_session(life("a")) as a:
        events = teach(a, 0, 1, 2)
        for number in undone:
            a.undo(a.plan_undo(event=events[number]))
        found = fingerprint(a)
    with open_session(life("b")) as b:
        teach(b, *(n for n in range(3) if n not in undone))
        assert fingerprint(b) == found
    with open_session(a.life.workdir, read_only=True) as again:
        assert tree_digest(again.state.train) == found[0]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_last_lessons_are_undone_at_once(life, count):
    with open_session(life("a")) as a:
        teach(a, 0, 1, 2)
        a.undo(a.plan_undo(lessons=count))
        found = fingerprint(a)
    with open_session(life("b")) as b:
        teach(b, *range(3 - count))
        assert fingerprint(b) == found


def test_an_undo_of_an_undo_is_a_redo_and_can_be_undone(life):
    with open_session(life("a")) as a:
        events = teach(a, 0, 1, 2)
        with_all = tree_digest(a.state.train), words(a)
        first = a.undo(a.plan_undo(event=events[1]))
        without = tree_digest(a.state.train), words(a)
        assert without[0] != with_all[0]
        second = a.undo(a.plan_redo())
        assert (tree_digest(a.state.train), words(a)) == with_all
        a.undo(a.plan_undo(event=second.id))
        assert (tree_digest(a.state.train), words(a)) == without
        assert first.data["events"] == [events[1] - 1, events[1]]
        # Lessons after all this go on from there.
        teach(a, 1)
        found = fingerprint(a)
    with open_session(life("b")) as b:
        teach(b, 0, 2, 1)
        assert fingerprint(b) == found


def test_lessons_after_an_undo_are_in_no_old_checkpoint(life):
    """Checkpoints from before an undo are not mistaken for the new life's."""
    a = open_session(life("a"))
    events = teach(a, 0)
    a.save()
    a.undo(a.plan_undo(event=events[0]))
    teach(a, 1)
    digest = tree_digest(a.state.train)
    a.life.close()
    with open_session(a.life.workdir) as again:
        assert tree_digest(again.state.train) == digest
        again.save()
        (row,) = again.life.journal.checkpoints()[:1]
        assert row.digest == digest


def test_an_undone_book_was_never_read(life, books):
    with open_session(life("a")) as a:
        list(a.read(books[1:], READING))
        teach(a, 0)
        row = max(e.id for e in a.life.journal.events(kinds=("read",)))
        plan = a.plan_undo(event=row)
        assert not plan.also
        a.undo(plan)
        assert books_read(a.life) == [books[0].sha256]
        digest, steps = tree_digest(a.state.train), a.state.steps
        # It is read again from its first window.
        list(a.read(books[1:], READING))
        found = fingerprint(a)
    with open_session(life("b")) as b:
        teach(b, 0)
        assert (tree_digest(b.state.train), b.state.steps) == (digest, steps)
        list(b.read(books[1:], READING))
        assert fingerprint(b) == found


def test_a_later_pass_goes_with_an_earlier_one(life, books):
    with open_session(life("a")) as a:
        list(a.read(books[:1], dataclasses.replace(READING, epochs=2)))
        first = next(a.life.journal.events(kinds=("read",)))
        plan = a.plan_undo(event=first.id)
        assert {event.data["pass"] for event in plan.also} == {1}
        last = max(e.id for e in a.life.journal.events(kinds=("book",)))
        assert not a.plan_undo(event=last).also


def test_a_redo_takes_back_what_was_read_again(life, books):
    with open_session(life("a")) as a:
        digest = tree_digest(a.state.train)
        row = max(e.id for e in a.life.journal.events(kinds=("read",)))
        a.undo(a.plan_undo(event=row))
        list(a.read(books[:1], READING))
        plan = a.plan_redo()
        assert {event.kind for event in plan.also} == {"open", "read", "book"}
        a.undo(plan)
        assert tree_digest(a.state.train) == digest


def test_all_after_a_growth_stands_on_it(life):
    with open_session(life("a")) as a:
        before = teach(a, 0)
        grow = a.life.journal.append("grow", {})
        a.state = a.state._replace(event=grow.id)
        after = teach(a, 1)
        plan = plan_undo(a.life, event=grow.id)
        assert [event.id for event in plan.also] == [after[0] - 1, after[0]]
        assert not plan_undo(a.life, event=before[0]).also


@pytest.mark.parametrize(("event", "sentence"), [
    (0, "there is no event 0"), (99, "there is no event 99"), (1, "birth cannot be undone"),
])  # fmt: skip
def test_what_cannot_be_undone_is_refused(life, event, sentence):
    with open_session(life("a")) as a, pytest.raises(ValueError, match=sentence):
        a.plan_undo(event=event)


def test_no_event_is_undone_twice(life):
    with open_session(life("a")) as a:
        (event,) = teach(a, 0)
        done = a.undo(a.plan_undo(lessons=1))
        with pytest.raises(ValueError, match=f"undone already, by event {done.id}"):
            a.plan_undo(event=event)
        with pytest.raises(ValueError, match="no lesson that can be undone"):
            a.plan_undo(lessons=1)
        teach(a, 1)
        with pytest.raises(ValueError, match="has 1 lessons that can be undone, got 2"):
            a.plan_undo(lessons=2)


def test_an_edited_context_loses_only_the_undone_words(life):
    with open_session(life("a")) as a:
        (first,) = teach(a, 0)
        a.life.context_file.write_text(words(a) + "user: I am Eve.\n")
        teach(a, 2)
        a.undo(a.plan_undo(event=first))
        assert words(a) == "user: I am Eve.\nuser: Where?\nassistant: At home.\n"
        *_, lesson = training_events(a.life)
        said = a.life.tokenizer.decode(lesson.data["prompt"])
        assert TAUGHT[0][1] not in said and "I am Eve." in said


def test_a_turn_from_before_an_undo_is_not_taught(life):
    with open_session(life("a")) as a:
        teach(a, 0)
        turn = a.say("Hello")
        a.undo(a.plan_undo(lessons=1))
        with pytest.raises(ValueError, match="say something new"):
            turn.pick(1)


def test_readers_do_not_undo(life):
    with open_session(life("a")) as a:
        teach(a, 0)
    with open_session(a.life.workdir, read_only=True) as reader:
        plan = reader.plan_undo(lessons=1)
        with pytest.raises(ValueError, match="only reads"):
            reader.undo(plan)
        assert len(list(effective_events(reader.life.journal, kinds=("lesson",)))) == 1


def test_an_undo_says_what_it_will_cost(life):
    with open_session(life("a")) as a:
        events = teach(a, 0, 1, 2)
        seen = []
        plan = a.plan_undo(event=events[0])
        assert plan.replayed == 2 and plan.seconds > 0
        a.undo(plan, seen.append)
        assert [watched.events for watched in seen] == [1, 2]
        assert seen[-1].seconds == seen[-1].of_seconds > 0
        assert all(isinstance(event, Event) for event in plan.also)
