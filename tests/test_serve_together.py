"""Two tabs, a script, other programs and a book at once: nothing lost, doubled or torn.

`make soak` sends 1,000 requests (APPRENTICE_REQUESTS).
"""

import contextlib
import dataclasses
import os
import random
import threading
import time
from collections import Counter

import pytest
from lives import READING, new_life, open_session, write_book
from serving import Client, serving

from serve.web.learner import Job
from train.flat_tree import tree_digest
from train.relive import relive

REQUESTS = int(os.environ.get("APPRENTICE_REQUESTS", "60"))
CHAT = {"model": "apprentice", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def born(tmp_path_factory, alice_text):
    folder = tmp_path_factory.mktemp("together")
    new_life(folder / "life", alice_text)
    return folder


def patiently(client, path, body, key=None, headers=None):
    """The answer once the queue had room; what a busy server refuses it has not done."""
    while (answer := client.ask(path, body, key=key, headers=headers)).status == 503:
        time.sleep(0.02)
    return answer


@contextlib.contextmanager
def held_up(served):
    """The learner does nothing else meanwhile."""
    go_on = threading.Event()
    served.house.learner.submit(Job("wait", "wait", lambda *_: go_on.wait(), "web", False))
    try:
        yield
    finally:
        go_on.set()


class Person:
    """Someone who talks and teaches, asks some things twice, and keeps count of what was taken."""

    def __init__(self, name: str, client: Client, seed: int) -> None:
        self.name, self.client, self.dice = name, client, random.Random(seed)
        self.taught: dict[int, str] = {}
        self.count = 0

    def act(self) -> None:
        kind = self.dice.choice(["teach", "teach", "say", "chat", "look", "again"])
        self.count += 1
        if kind == "chat":
            answer = patiently(self.client, "/v1/chat/completions", CHAT | {"max_tokens": 2})
            assert answer.status == 200, answer.body
        elif kind == "look":
            for path in ("/api/state", "/api/life", "/api/charts", "/api/books", "/api/curve"):
                assert self.client.ask(path).status == 200
        else:
            self.talk(kind)

    def talk(self, kind: str) -> None:
        answer = patiently(self.client, "/api/say", {"text": f"{self.name} {self.count}"})
        name, turn = answer.events()[-1]
        assert name == "turn", turn
        if kind == "say":
            return
        words = f"To {self.name} {self.count}."
        self.teach(turn["turn"], words, f"{self.name}-{self.count:08}", 3 if kind == "again" else 1)

    def teach(self, turn: str, words: str, key: str, times: int) -> None:
        wanted = {"turn": turn, "teach": words}
        given = [patiently(self.client, "/api/lesson", wanted, key) for _ in range(times)]
        assert {one.status for one in given} == {200}, given[0].body
        assert len({one.json()["event_id"] for one in given}) == 1
        self.taught[given[0].json()["event_id"]] = words


def test_nothing_is_lost_doubled_or_torn(born, alice_text, tmp_path):
    book = tmp_path / "book.txt"
    book.write_text(alice_text[3000:15_000], encoding="utf-8")
    with serving(born / "life") as served:
        pages = []
        for _ in range(2):
            token = served.house.address().partition("token=")[2]
            entered = served.client.ask("/api/enter", {"token": token})
            pages.append(Client(served.client.port, entered.json()["token"]))
        people = [
            Person(name, client, seed)
            for seed, (name, client) in enumerate(
                [("page one", pages[0]), ("page two", pages[1]), ("script", served.client)]
            )
        ]
        headers = {"Content-Type": "application/octet-stream", "X-Name": "book.txt"}
        upload = served.client.ask("/api/books", book.read_bytes(), headers=headers).json()
        # A lesson waits behind the book from its beginning, however quick this machine is.
        turn = served.client.say("Before the book")["turn"]
        with held_up(served):
            assert patiently(served.client, "/api/read", {"uploads": [upload["id"]]}).status == 202
            teacher = threading.Thread(
                target=people[2].teach, args=(turn, "Wait.", "a-lesson-that-waits", 1)
            )
            teacher.start()
            while teacher.is_alive() and len(served.client.ask("/api/state").json()["queue"]) < 3:
                time.sleep(0.02)
        teacher.join()

        failures: list[BaseException] = []

        def live(person: Person) -> None:
            try:
                while sum(other.count for other in people) < REQUESTS:
                    person.act()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=live, args=(person,)) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
        state = served.client.wait()
        events = list(served.session.life.journal.events())
        digest = tree_digest(served.session.state.train)

    lessons = {event.id: event.data for event in events if event.kind == "lesson"}
    taught = {id: words for person in people for id, words in person.taught.items()}
    assert {id: data["answer"] for id, data in lessons.items()} == taught
    assert len(taught) == sum(len(person.taught) for person in people) == state["lessons"]
    assert Counter(data["turn"] for data in lessons.values()).most_common(1)[0][1] == 1
    assert {data["origin"] for data in lessons.values()} == {"web", "script"}
    books = [event for event in events if event.kind == "book"]
    assert len(books) == 1
    rows = [event.data for event in events if event.kind == "read"]
    assert [row["first"] for row in rows] == [
        sum(row["windows"] for row in rows[:n]) for n in range(len(rows))
    ]
    # Talk came between the beginning of the book and its end, and the life is the same lived again.
    begun = next(event.id for event in events if event.kind == "open")
    ended = next(event.id for event in reversed(events) if event.kind == "read")
    assert any(begun < id < ended for id in lessons)
    with open_session(born / "life", read_only=True) as session:
        assert tree_digest(session.state.train) == digest
        *_, lived = relive(session.life, tmp_path / "again")
        assert lived.equal
    with open_session(tmp_path / "again", read_only=True) as again:
        assert tree_digest(again.state.train) == digest


def test_a_book_in_a_terminal_and_one_laid_aside_are_the_same(alice_text, tmp_path):
    """Laying a book aside for talk changes nothing of what reading does."""
    new_life(tmp_path / "a", alice_text)
    book = write_book(tmp_path, alice_text, start=4000)
    with open_session(tmp_path / "a") as session:
        list(session.read([book], READING))
        whole = tree_digest(session.state.train)
    new_life(tmp_path / "b", alice_text)
    with open_session(tmp_path / "b") as session:
        stops = iter(range(10_000))
        # Laid aside after every few windows.
        while session.state.steps < 20:
            list(session.read([book], READING, lambda: next(stops) % 5 == 4))
        list(session.read([book], dataclasses.replace(READING)))
        assert tree_digest(session.state.train) == whole


def test_a_folder_that_is_open_elsewhere_is_shown_and_not_taught(alice_text, tmp_path):
    new_life(tmp_path / "life", alice_text)
    with (
        open_session(tmp_path / "life") as owner,
        serving(tmp_path / "life", read_only=True) as served,
    ):
        state = served.client.ask("/api/state").json()
        assert state["read_only"]
        turn = served.client.say("Hello")
        refused = served.client.ask("/api/lesson", {"turn": turn["turn"], "pick": 1})
        assert refused.status == 409 and refused.json()["error"]["code"] == "read_only"
        for path in ("/api/undo", "/api/read", "/api/grow", "/api/context"):
            assert served.client.ask(path, {"text": "", "sha256": ""}).status == 409, path
        assert owner.life.journal.count("replies") == 0


def test_an_answer_can_be_stopped_and_taught_as_far_as_it_came(born):
    with serving(born / "life") as served:
        parts = []

        def should_stop():
            parts.append(1)
            return True

        *_, turn = served.session.stream("Hello", should_stop)
        assert len(parts) == 1
        assert all(0 < len(reply.ids) <= 4 for reply in turn.replies)


def test_the_context_is_edited_only_as_it_was_seen(born):
    with serving(born / "life") as served:
        client = served.client
        seen = client.ask("/api/context").json()
        words = "user: I am Ada.\nassistant: Hello Ada.\n"
        edited = client.ask("/api/context", {"text": words, "sha256": seen["sha256"]})
        assert edited.json()["text"] == words
        late = client.ask("/api/context", {"text": "user: No.\n", "sha256": seen["sha256"]})
        assert late.status == 409
        wrong = client.ask("/api/context").json() | {"text": "no turn"}
        assert client.ask("/api/context", wrong).status == 400
        forgot = client.ask("/api/context").json() | {"text": ""}
        assert client.ask("/api/context", forgot).json()["text"] == ""
        assert served.session.life.journal.last().kind == "forget"
