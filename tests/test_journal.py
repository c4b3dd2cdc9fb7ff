"""The journal: durable, whole, and never different from what was written."""

import itertools
import sqlite3
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.journal import Journal
from train.records import CheckpointRow, Event, Hit
from train.versions import versions

_APPEND_FOREVER = """
import itertools, sys
from pathlib import Path
from train.journal import Journal
with Journal.open(Path(sys.argv[1])) as journal:
    for n in itertools.count():
        event = journal.append("lesson", {"n": n, "pad": "x" * (n * 37 % 5000)}, say=f"word {n}")
        print(event.id, flush=True)
"""
_PRINT_LAST = """
import sys
from pathlib import Path
from train.journal import Journal
with Journal.open(Path(sys.argv[1]), read_only=True) as journal:
    print(journal.last().id, journal.search("hello")[0].answer)
"""
_few = settings(derandomize=True, deadline=None, max_examples=40)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.create(path) as journal:
        yield journal


@pytest.fixture(scope="module")
def shared_journal() -> Iterator[Journal]:
    with tempfile.TemporaryDirectory() as folder, Journal.create(Path(folder) / "j") as journal:
        yield journal


def test_events_come_back_as_written(journal: Journal, path: Path) -> None:
    data = {"picked": 2, "replies": ["a", "ünï \ud800 \0"], "rate": 0.1, "none": None}
    first = journal.append("birth", data)
    second = journal.append("lesson", {"pair": (1, 2)})
    assert (first.id, first.kind, first.data) == (1, "birth", data)
    assert second.data == {"pair": [1, 2]}, "the live event must equal the replayed one"
    assert first.time.endswith("+00:00")
    journal.close()
    with Journal.open(path) as again:
        assert list(again.events()) == [first, second]
        assert again.event(1) == first
        assert again.last() == second


def test_an_empty_journal_has_no_last_event(journal: Journal) -> None:
    assert journal.last() is None
    assert list(journal.events()) == []


def test_events_are_chosen_by_number_and_kind(journal: Journal) -> None:
    kinds = ["birth", *["chunk", "lesson"] * 300]  # more than one page
    for kind in kinds:
        journal.append(kind, {})

    def ids(*args: Any, **kwargs: Any) -> list[int]:
        return [event.id for event in journal.events(*args, **kwargs)]

    assert ids() == list(range(1, 602))
    assert ids(599) == [600, 601]
    assert ids(until=2) == [1, 2]
    assert ids(3, {"birth", "lesson"}, until=8) == [5, 7]
    assert ids(kinds=()) == []
    assert journal.count("lesson") == 300
    assert journal.count("undo") == 0
    with pytest.raises(ValueError, match="has no event 602;"):
        journal.event(602)


def test_appending_while_reading_does_not_lengthen_the_reading(journal: Journal) -> None:
    journal.append("birth", {})
    for event in itertools.islice(journal.events(), 5):
        journal.append("copy", event.data)
    assert journal.count("copy") == 1


@_few
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_with_the_same_bits(shared_journal: Journal, value: float) -> None:
    event = shared_journal.event(shared_journal.append("note", {"value": value}).id)
    assert struct.pack("d", event.data["value"]) == struct.pack("d", value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1}])
def test_what_json_cannot_hold_is_refused(journal: Journal, value: Any) -> None:
    with pytest.raises(ValueError, match="data of a 'lesson' event must be JSON"):
        journal.append("lesson", {"deep": [value]})
    assert journal.last() is None


@pytest.mark.parametrize("statement", ["UPDATE events SET kind = 'x'", "DELETE FROM events"])
def test_events_can_only_be_appended(journal: Journal, statement: str) -> None:
    journal.append("birth", {})
    with pytest.raises(sqlite3.IntegrityError, match="events are never"):
        journal._connection.execute(statement)


def test_checkpoints_are_recorded_once_for_events_that_exist(journal: Journal) -> None:
    for _ in range(3):
        journal.append("lesson", {})
    for event in (1, 3, 2):
        journal.record_checkpoint(event, f"digest {event}", {"size": event})
    with pytest.raises(ValueError, match="UNIQUE"):
        journal.record_checkpoint(3, "other", {})
    with pytest.raises(ValueError, match="FOREIGN KEY"):
        journal.record_checkpoint(4, "other", {})
    journal.drop_checkpoint(2)
    rows = journal.checkpoints()
    assert rows == [
        CheckpointRow(3, "digest 3", {"size": 3}, rows[0].time),
        CheckpointRow(1, "digest 1", {"size": 1}, rows[1].time),
    ]


def test_search_finds_every_word_in_what_was_said_or_answered(journal: Journal) -> None:
    journal.append("lesson", {}, say="The cat sat", answer="on the mat")
    journal.append("lesson", {}, say="A dog")
    assert journal.search("mat CAT") == [Hit(1, "The cat sat", "on the mat")]
    assert journal.search("cat dog") == []
    assert journal.search("!?") == journal.search("") == []
    journal.append("lesson", {}, answer="dog dog")
    assert len(journal.search("dog")) == 2
    assert len(journal.search("dog", limit=1)) == 1


_PIECES = [
    *("cat", "AND", "OR", "NOT", "NEAR(", "NEAR(cat,2)", '"', '""', "'", "*", "say:", "say:cat"),
    *("-cat", "^cat", "(", ")", "{", "}", "+", "ñandú", "день", "\0", "\ud800", 'ca"t', '"cat'),
]
_queries = st.lists(st.sampled_from(_PIECES)).map(" ".join)


@_few
@given(st.text() | _queries)
def test_no_character_of_a_search_has_a_meaning(shared_journal: Journal, query: str) -> None:
    said = shared_journal.append("lesson", {}, say=f"anchor {query}").id
    assert said in [hit.event for hit in shared_journal.search("anchor", limit=1000)]
    shared_journal.search(query)


@_few
@given(_queries)
def test_what_was_said_is_found_by_its_own_words(shared_journal: Journal, said: str) -> None:
    event = shared_journal.append("lesson", {}, say=said + " end").id
    hits = shared_journal.search(said + " end", limit=1000)
    assert event in [hit.event for hit in hits]


def test_an_existing_journal_is_never_created_again(journal: Journal, path: Path) -> None:
    journal.append("birth", {})
    with pytest.raises(ValueError, match="already exists"):
        Journal.create(path)
    assert journal.count("birth") == 1


def test_an_event_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Event(1, "", "birth", {}).kind = "x"  # pyrefly: ignore[read-only]


def test_versions_name_what_decides_the_bits() -> None:
    found = versions()
    assert set(found) == {
        "python", "jax", "jaxlib", "flax", "optax", "orbax", "processor", "features", "machine",
    }  # fmt: skip
    assert all(found.values())
    assert "missing" not in found.values()
