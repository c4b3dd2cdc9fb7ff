"""Taking events back: what goes with them, what it costs, and the event that does it.

An undo is an event that names others; an undo of an undo brings them back. The weights that follow
are those of the newest checkpoint that is valid without the named events, and the rest replayed.
"""

import dataclasses

from train.effective import NEXT, UNDO, effective_events, taken_back, undone_events
from train.life import Life
from train.records import Event
from train.saved import valid_checkpoints
from train.thinning import TRAINING, cost

_READING = ("open", "read", "book")


@dataclasses.dataclass(frozen=True, kw_only=True)
class UndoPlan:
    """An undo that has not been done.

    Attributes:
      asked: the events that were named.
      events: everything that the undo takes back: the named, what belongs to them, and `also`.
      also: events that stand on the named ones and would be taken back with them.
      replayed: training events that have to be applied again.
      seconds: what these took when they were first applied.
    """

    asked: tuple[int, ...]
    events: tuple[int, ...]
    also: tuple[Event, ...]
    replayed: int
    seconds: float


def plan_undo(life: Life, *, lessons: int | None = None, event: int | None = None) -> UndoPlan:
    """The undo of the last `lessons` lessons, or of one event (an undo, too); nothing is changed.

    An event of reading stands for its whole pass over the book. What stands on an event: on a
    growth all that came after it; on a pass over a book the later passes over it.

    Raises:
      ValueError: no such lesson or event, one that was undone already, or the birth.
    """
    if (lessons is None) == (event is None):
        raise ValueError("an undo takes back lessons or one event; name one of the two.")
    asked = _last_lessons(life, lessons) if lessons is not None else [_named(life, event)]
    index = _Index(life)
    belonging, also = index.closure(asked)
    gone = index.gone_with(belonging | also)
    start = next((row.event for row in valid_checkpoints(life, gone)), 1)
    again = [
        e for e in life.journal.events(start, kinds=TRAINING) if e.id not in gone
    ]  # prompts may differ from the recorded ones, their length hardly
    return UndoPlan(
        asked=tuple(asked),
        events=tuple(sorted(belonging | also)),
        also=tuple(life.journal.event(id) for id in sorted(also)),
        replayed=len(again),
        seconds=sum(map(cost, again)),
    )


def last_undo(life: Life) -> int:
    """The newest undo that is in force; ValueError when there is none."""
    gone = undone_events(life.journal)
    undos = [e.id for e in life.journal.events(kinds=(UNDO,)) if e.id not in gone]
    if not undos:
        raise ValueError("there is no undo to take back; undo something first.")
    return undos[-1]


def undo(life: Life, plan: UndoPlan) -> Event:
    """The undo is in the journal; `restore` gives the state that follows."""
    data = {"events": list(plan.events), "asked": list(plan.asked)}
    return life.journal.append(UNDO, data)


def _last_lessons(life: Life, lessons: int) -> list[int]:
    given = [event.id for event in effective_events(life.journal, kinds=("lesson",))]
    if not 1 <= lessons <= len(given):
        raise ValueError(
            f"this model has {len(given)} lessons that can be undone, got {lessons}; "
            "name from 1 to so many."
            if given
            else "this model has no lesson that can be undone; teach one first."
        )
    return given[-lessons:]


def _named(life: Life, event: int | None) -> int:
    last = life.journal.last()
    assert event is not None and last is not None
    if not 1 <= event <= last.id:
        raise ValueError(f"there is no event {event}, want 1 to {last.id}; name another.")
    if event in (gone := undone_events(life.journal)):
        undos = [e for e in life.journal.events(kinds=(UNDO,)) if event in e.data["events"]]
        by = next(undo.id for undo in reversed(undos) if undo.id not in gone)
        raise ValueError(f"event {event} was undone already, by event {by}; undo that to redo it.")
    if life.journal.event(event).kind == "birth":
        raise ValueError("the birth cannot be undone, got event 1; begin a new model instead.")
    return event


class _Index:
    """The journal by what stands on what."""

    def __init__(self, life: Life) -> None:
        journal = life.journal
        self._kinds = dict(journal.index())
        self._undos = [(e.id, e.data["events"]) for e in journal.events(kinds=(UNDO,))]
        self._gone = taken_back(self._undos)
        self._passes = {
            e.id: (tuple(e.data["books"]), e.data["pass"]) for e in journal.events(kinds=_READING)
        }
        lessons = journal.events(kinds=("lesson",))
        self._turns = {e.id: e.data["turn"] for e in lessons if "turn" in e.data}
        self._lessons = {turn: lesson for lesson, turn in self._turns.items()}
        self._rests = [(e.id, e.data["lesson"]) for e in journal.events(kinds=("rest",))]

    def gone_with(self, events: set[int]) -> frozenset[int]:
        """What is taken back once these events are undone too."""
        return taken_back([*self._undos, (NEXT, events)])

    def closure(self, asked: list[int]) -> tuple[set[int], set[int]]:
        """What belongs to the named events, and what stands on them."""
        belonging, also = set(asked), set[int]()
        while True:
            gone = self.gone_with(belonging | also)
            changed = gone ^ self._gone
            there = {id for id in self._kinds if id not in gone} - changed
            with_them = {id for at in changed & gone for id in self._parts(at)} & there
            on_them = {id for at in changed for id in self._on(at, gone)} & there - with_them
            if not with_them | on_them:
                return belonging, also
            belonging |= with_them
            also |= on_them

    def _parts(self, at: int) -> list[int]:
        if at in self._passes:
            return [id for id, pass_ in self._passes.items() if pass_ == self._passes[at]]
        rests = [id for id, lesson in self._rests if lesson == at]
        return [part[at] for part in (self._turns, self._lessons) if at in part] + rests

    def _on(self, at: int, gone: frozenset[int]) -> list[int]:
        if at in self._passes:
            books, number = self._passes[at]
            # What comes back takes the place of a pass that was read again since.
            first = number + 1 if at in gone else number
            return [
                id for id, pass_ in self._passes.items() if pass_[0] == books and pass_[1] >= first
            ]
        if self._kinds[at] == "grow":
            return [id for id, kind in self._kinds.items() if id > at and kind != UNDO]
        return []
