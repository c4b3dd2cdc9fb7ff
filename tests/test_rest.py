"""While nobody types old lessons come back: bounded, in the journal, and gone with their lesson."""

import itertools
import json
import shutil
import sys
import threading
import time

import pytest
from lives import READING, open_session, read_a_page, write_book
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from serving import serving

from serve.asking import Asking
from serve.flags import parse
from serve.modes import run_mode
from serve.output import JsonOutput
from train.effective import effective_events
from train.flat_tree import tree_digest
from train.recipe import RECIPES
from train.relive import relive
from train.rest import REST_RATE, REST_UPDATES
from train.store import StoreConfig

TAUGHT = [("Who are you?", "I am yours."), ("And I?", "You are Ada."), ("Where?", "At home.")]


@pytest.fixture(scope="module")
def born(tmp_path_factory, alice_text):
    """A life that has read a page."""
    return read_a_page(tmp_path_factory.mktemp("born"), alice_text)


@pytest.fixture
def life(born, tmp_path):
    def copy(name):
        shutil.copytree(born, tmp_path / name)
        return tmp_path / name

    return copy


def teach(session, number):
    return session.say(TAUGHT[number][0]).teach(TAUGHT[number][1])


def wait_until(happened, seconds=120):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        threading.Event().wait(0.01)


def rests(session):
    return list(effective_events(session.life.journal, kinds=("rest",)))


def after(updates):
    """Says stop when it was asked about so many updates."""
    count = itertools.count(-1)
    return lambda: next(count) >= updates


def test_a_rest_is_bounded_and_an_event(life):
    with open_session(life("a")) as session:
        lesson = teach(session, 0)
        session.rest_updates = 4
        before = tree_digest(session.state.train)
        rest = session.rest()
        assert rest is not None and rest.updates == 4
        assert tree_digest(session.state.train) != before
        (event,) = rests(session)
        assert (event.id, event.data["updates"]) == (rest.event, 4)
        assert event.data["lesson"] == lesson.event
        assert event.data["recipe"]["learning_rate"] == REST_RATE * session.recipe.learning_rate
        assert session.state.memory.items[0].exposures >= 4
        assert session.rest() is None and len(rests(session)) == 1
        teach(session, 1)
        again = session.rest()
        assert again is not None and again.updates == 4


def test_many_short_rests_are_one_long_one(life):
    digests = []
    for name, stops in (("a", (1, 3, 9)), ("b", (9,))):
        with open_session(life(name)) as session:
            session.rest_updates = 5
            teach(session, 0)
            made = [session.rest(after(stop)) for stop in stops]
            assert sum(rest.updates for rest in made if rest) == 5
            assert made[0] is not None and made[0].updates == min(stops[0], 5)
            digests.append(tree_digest(session.state.train))
    assert digests[0] == digests[1]


def test_a_rest_comes_back_from_the_journal_and_goes_on_where_it_was(life, tmp_path):
    a = open_session(life("a"))
    a.rest_updates = 5
    teach(a, 0)
    a.rest(after(2))
    digest = tree_digest(a.state.train)
    # As after a kill: nothing is saved.
    a.life.close()
    with open_session(a.life.workdir) as again:
        assert tree_digest(again.state.train) == digest
        again.rest_updates = 5
        rest = again.rest()
        assert rest is not None and rest.updates == 3
        digest = tree_digest(again.state.train)
        again.save()
        found = list(relive(again.life, tmp_path / "anew"))
    assert all(compared.equal for compared in found)
    with open_session(tmp_path / "anew", read_only=True) as anew:
        assert tree_digest(anew.state.train) == digest


def test_a_rest_goes_with_its_lesson_and_comes_back_with_it(life):
    with open_session(life("a")) as a:
        a.rest_updates = 3
        teach(a, 0)
        a.rest()
        first = tree_digest(a.state.train)
        lesson = teach(a, 1)
        rest = a.rest()
        assert rest is not None
        second = tree_digest(a.state.train)
        plan = a.plan_undo(lessons=1)
        assert rest.event in plan.events and plan.asked == (lesson.event,) and not plan.also
        a.undo(plan)
        assert tree_digest(a.state.train) == first
        a.undo(a.plan_redo())
        assert tree_digest(a.state.train) == second
        # A rest alone can be taken back, too.
        a.undo(a.plan_undo(event=rest.event))
        assert a.state.lessons == 2 and len(rests(a)) == 1
        a.undo(a.plan_undo(event=lesson.event))
        assert tree_digest(a.state.train) == first


def test_nothing_calls_for_a_rest(life, alice_text, tmp_path, monkeypatch):
    with open_session(life("a")) as session:
        assert session.rest() is None
        session.say("Who are you?").pick(1)
        assert session.rest() is None
        teach(session, 0)
        session.recipe = RECIPES["seed"]
        assert session.rest() is None
        session.recipe = RECIPES["rehearsed"]
        session.learn_from_now(False)
        assert session.rest() is None
        session.learn_from_now(True)
        session.rest_updates = 0
        assert session.rest() is None
        session.rest_updates = 1
        assert session.rest(lambda: True) is None
        with monkeypatch.context() as patch:
            patch.setattr("train.rest.REST_PARAMETERS", 1)
            assert session.rest() is None
        book = write_book(tmp_path, alice_text, "other.txt", start=9000)
        list(session.read([book], READING))
        assert session.rest() is None
        teach(session, 1)
        session.sleep(1)
        assert session.rest() is None
        assert rests(session) == []
        teach(session, 2)
        assert session.rest() is not None


def test_a_model_on_the_disk_does_not_wear_it_out_by_resting(life):
    with open_session(life("a"), store=StoreConfig(kind="disk")) as session:
        teach(session, 0)
        assert session.rest() is None and rests(session) == []
    with open_session(session.life.workdir, store=StoreConfig(kind="ram")) as session:
        assert session.rest() is not None


def test_a_rest_that_cannot_be_written_never_was(life, monkeypatch):
    with open_session(life("a")) as session:
        teach(session, 0)
        before = tree_digest(session.state.train)

        def full(*_, **__):
            raise ValueError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(type(session.life.journal), "append", full)
            with pytest.raises(ValueError, match="full"):
                session.rest()
        assert tree_digest(session.state.train) == before


def ask_beside(session, monkeypatch, act):
    """What is typed at a keyboard while `act(type_text)` runs beside the question."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    with (
        create_pipe_input() as keys,
        create_app_session(input=keys, output=DummyOutput()),
    ):
        ask = Asking(session, JsonOutput())

        def type_and_end():
            try:
                act(keys.send_text)
            finally:
                keys.send_text("\r")

        other = threading.Thread(target=type_and_end)
        other.start()
        answer = ask("you> ", 5)
        other.join()
    return answer


def test_the_model_rests_until_somebody_types(life, monkeypatch):
    with open_session(life("a")) as session:
        session.rest_updates = 10**6
        teach(session, 0)
        asked, other, rest = [], threading.Event(), session.rest

        def watched(should_stop):
            return rest(lambda: asked.append(0) or should_stop())

        monkeypatch.setattr(session, "rest", watched)

        def act(send):
            wait_until(lambda: len(asked) > 3)
            send("h")
            # Only the first letter was typed, and the rest is over.
            wait_until(lambda: rests(session))
            other.set()
            send("ello\r")

        assert ask_beside(session, monkeypatch, act) == "hello"
        assert other.is_set()
        (event,) = rests(session)
        assert 2 <= event.data["updates"] < 10**6
        assert session.state.event == event.id


def test_what_a_script_says_is_followed_by_no_rest(life, monkeypatch, tmp_path):
    script = tmp_path / "lines"
    script.write_text("hello\n")
    with open_session(life("a")) as session, script.open() as lines:
        teach(session, 0)
        monkeypatch.setattr(sys, "stdin", lines)
        asked = []
        monkeypatch.setattr(session, "rest", asked.append)
        ask = Asking(session, JsonOutput())
        assert ask("you> ", 0) == "hello"
        for thread in threading.enumerate():
            if thread.daemon and thread is not threading.current_thread():
                thread.join(30)
        assert asked == []
        with pytest.raises(EOFError):
            ask("you> ", 0)


def test_a_script_rests_exactly_as_long_as_it_is_told(life, tmp_path):
    script = tmp_path / "talk.jsonl"
    lines = [{"say": say, "teach": answer} for say, answer in TAUGHT[:2]]
    lines.append({"say": "Well?", "pick": 1})
    script.write_text("\n".join(map(json.dumps, lines)))
    digests = []
    for name, flags, updates in (
        ("a", ["--rest_updates=3"], [3, 3]),
        ("b", ["--rest_updates=3"], [3, 3]),
        ("c", [], []),
    ):
        folder = life(name)
        flags += [f"--workdir={folder}", "--mode=interactive", f"--script={script}", "--replies=2"]
        assert run_mode(parse(["apprentice", *flags, "--max_new_tokens=6", "--json"])) == 0
        with open_session(folder, read_only=True) as session:
            assert [rest.data["updates"] for rest in rests(session)] == updates
            digests.append(tree_digest(session.state.train))
    assert digests[0] == digests[1] != digests[2]


def test_the_page_s_model_rests_when_it_has_nothing_to_do(life):
    with serving(life("a")) as (session, _, client):
        turn = client.say("Who are you?")
        lesson = client.ask("/api/lesson", {"turn": turn["turn"], "teach": "I am yours."})
        assert lesson.status == 200
        wait_until(lambda: sum(rest.data["updates"] for rest in rests(session)) == REST_UPDATES)
        (row, *_) = client.ask("/api/life?kinds=rest").json()["events"]
        assert row["line"].startswith(f"Rested after event {lesson.json()['event_id']}: ")
