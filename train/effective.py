"""Which events count: all of the journal but those that an undo took back.

Whatever depends on what this life did (keys, positions, rates, reports) asks here, so that after an
undo it is what it would be in a life in which the undone events never happened.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator

from train.journal import Journal
from train.records import Event

UNDO = "undo"
# Not in the journal yet, and newer than everything in it.
NEXT = 1 << 62
# Events that change neither weights nor prompts, and so no checkpoint.
_SILENT = frozenset({"replies", "open", "book", UNDO})


def undone_events(journal: Journal, until: int | None = None) -> frozenset[int]:
    """The ids that undos took back, as of event `until` (now); of undone undos too."""
    return taken_back((e.id, e.data["events"]) for e in journal.events(kinds=(UNDO,), until=until))


def gone_with(journal: Journal, events: Collection[int]) -> frozenset[int]:
    """The ids that would be taken back once these events were undone too."""
    undos = ((e.id, e.data["events"]) for e in journal.events(kinds=(UNDO,)))
    return taken_back([*undos, (NEXT, events)])


def taken_back(undos: Iterable[tuple[int, Collection[int]]]) -> frozenset[int]:
    """The ids that these undos (id, ids it names) take back; one that is undone does nothing.

    An undo names only earlier events, so the newest one is always in force.
    """
    gone: set[int] = set()
    for id, events in sorted(undos, reverse=True):
        if id not in gone:
            gone.update(events)
    return frozenset(gone)


def effective_events(
    journal: Journal, after: int = 0, kinds: Collection[str] | None = None, until: int | None = None
) -> Iterator[Event]:
    """The events with `after` < id <= `until` that no undo took back, ascending; no undos."""
    gone = undone_events(journal)
    for event in journal.events(after, kinds, until):
        if event.id not in gone and event.kind != UNDO:
            yield event


def effective_count(journal: Journal, kind: str) -> int:
    """How many events of that kind no undo took back."""
    gone = undone_events(journal)
    return sum(found == kind and id not in gone for id, found in journal.index())


def prefix_digests(
    journal: Journal, untils: Collection[int], gone: frozenset[int] | None = None
) -> dict[int, str]:
    """{until: digest of the effective events up to it that weights can depend on}.

    Equal digests mean equal weights: a checkpoint made at `until` is valid as long as the digest is
    the one in its metadata.

    Args:
      untils: event ids.
      gone: ids taken back; the present ones when None.
    """
    gone = undone_events(journal) if gone is None else gone
    index = [row for row in journal.index() if row[0] not in gone and row[1] not in _SILENT]
    return {until: _digest([row for row in index if row[0] <= until]) for until in untils}


def _digest(rows: list[tuple[int, str]]) -> str:
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()
