"""Which old lessons come back, and when: young ones often, known ones at growing distances."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from train.wording import normalized

# A rehearsed answer counts as known below so many nats per token; a picked reply, which is to
# show the way and not to be learnt by heart, much earlier.
KNOWN_NATS, KNOWN_NATS_OF_PICK = 0.1, 0.5
# A lesson is young, and comes back often, up to so many exposures.
YOUNG_EXPOSURES = 12
# Lessons between two rehearsals, at most.
MAX_INTERVAL = 63


class Exchange(NamedTuple):
    """One thing said and its answer."""

    say: str
    answer: str


class Item(NamedTuple):
    """A lesson as rehearsal knows it.

    `event` is the lesson that taught it last, `pick` whether it was picked and not typed,
    `exposures` its own turns and rehearsals, `due` the
    number of lessons in the life from which on it is to come back, `interval` the distance after
    the next success.
    """

    event: int
    said: Exchange
    pick: bool
    exposures: int
    due: int
    interval: int


Items = tuple[Item, ...]


class Memory(NamedTuple):
    """What rehearsal draws from: lessons, the model's own earlier replies, books by hash.

    `own` are its likeliest replies, for typed lessons, `drawn` some of all it might say, for picks.
    They are None until a lesson needs them; after more reading they are `stale`, and the next
    lesson takes new ones.
    """

    items: Items = ()
    own: tuple[Exchange, ...] | None = None
    drawn: tuple[Exchange, ...] | None = None
    books: tuple[str, ...] = ()
    stale: bool = False


def after_reading(memory: Memory, books: Sequence[str]) -> Memory:
    """The memory after some of these books was read."""
    books = tuple(dict.fromkeys([*memory.books, *books]))
    return memory._replace(books=books, stale=memory.own is not None)


def taught(
    items: Items, event: int, said: Exchange, now: int, *, pick: bool
) -> tuple[Items, str | None]:
    """The items after one more lesson, and the answer that it contradicts, if any.

    Of two answers to one question the newer wins; the older leaves rehearsal. The same lesson
    again is one more exposure.
    """
    question = normalized(said.say)
    for item in items:
        if normalized(item.said.say) == question:
            same = normalized(item.said.answer) == normalized(said.answer)
            exposures = item.exposures + 1 if same else 1
            changed = Item(event, said, pick, exposures, now + 1, 1)
            kept = tuple(other for other in items if other is not item)
            return (*kept, changed), None if same else item.said.answer
    return (*items, Item(event, said, pick, 1, now + 1, 1)), None


def due_items(items: Items, now: int) -> list[int]:
    """The indices of the items that are to come back by now."""
    return [index for index, item in enumerate(items) if item.due <= now]


def typed_are_due(items: Items, now: int) -> bool:
    """Whether a lesson that somebody typed is to come back by now."""
    return any(not items[index].pick for index in due_items(items, now))


def choose(
    items: Items, now: int, count: int, draws: np.random.Generator, *, early: bool = False
) -> list[int]:
    """At most `count` indices: half of them young due items, the least exposed first; then the
    most overdue; then, in half of the places left, any typed lessons that are not due.

    Without the first bound the newest lessons would always go first, and the older ones be
    forgotten. What is not due costs little and is kept from being overwritten; a picked reply
    would only be learnt by heart.

    Args:
      early: every typed item is taken for due.
    """
    order = draws.random(len(items))
    typed = {index for index, item in enumerate(items) if not item.pick}
    due = {*due_items(items, now), *(typed if early else ())}

    def lateness(index: int) -> tuple[float, float]:
        item = items[index]
        # Of what is not due any may come: the next to be due would be the same every time.
        late = (item.due - now) / item.interval if item.due <= now else 1.0
        return late, order[index]

    young = [index for index in due if items[index].exposures < YOUNG_EXPOSURES]
    young.sort(key=lambda index: (items[index].exposures, order[index]))
    chosen = young[: (count + 1) // 2]
    rest = sorted(due - set(chosen), key=lateness)
    chosen += rest[: count - len(chosen)]
    spare = sorted(typed - due, key=lateness)
    return [*chosen, *spare[: (count - len(chosen)) // 2]]


def rehearsed(items: Items, losses: Mapping[int, float], now: int) -> Items:
    """The items after those at the keys were rehearsed.

    A known one comes back after twice the distance, but not farther for having come early; any
    other one comes back at once.

    Args:
      losses: index of an item to its answer's nats per token before the update.
    """
    return tuple(
        _rehearsed(item, losses[index], now) if index in losses else item
        for index, item in enumerate(items)
    )


def count_known(items: Items, losses: Mapping[int, float]) -> int:
    """How many of the items at the keys have an answer that need not come back soon."""
    return sum(_is_known(items[index], loss) for index, loss in losses.items())


def _is_known(item: Item, loss: float) -> bool:
    return loss < (KNOWN_NATS_OF_PICK if item.pick else KNOWN_NATS)


def _rehearsed(item: Item, loss: float, now: int) -> Item:
    known = _is_known(item, loss)
    if known and now < item.due:
        return item._replace(exposures=item.exposures + 1)
    interval = min(2 * item.interval + 1, MAX_INTERVAL) if known else 1
    due = now + interval if known else now
    return item._replace(exposures=item.exposures + 1, due=due, interval=interval)


def write_memory(memory: Memory) -> dict[str, Any]:
    """The memory as JSON values; the lessons' words are in the journal."""
    return {
        "items": [[item.event, item.exposures, item.due, item.interval] for item in memory.items],
        "own": _write_replies(memory.own),
        "drawn": _write_replies(memory.drawn),
        "books": list(memory.books),
        **({"stale": True} if memory.stale else {}),
    }


def read_memory(written: Mapping[str, Any], words_of: Callable[[int], Mapping[str, Any]]) -> Memory:
    """The memory that `write_memory` wrote; `words_of` gives the data of a lesson's event."""

    def read_item(event: int, exposures: int, due: int, interval: int) -> Item:
        data = words_of(event)
        said = Exchange(data["say"], data["answer"])
        return Item(event, said, data["kind"] == "pick", exposures, due, interval)

    return Memory(
        tuple(read_item(*row) for row in written["items"]),
        _read_replies(written["own"]),
        _read_replies(written.get("drawn")),
        tuple(written["books"]),
        written.get("stale", False),
    )


def _write_replies(replies: tuple[Exchange, ...] | None) -> list[list[str]] | None:
    return None if replies is None else [list(said) for said in replies]


def _read_replies(written: list[list[str]] | None) -> tuple[Exchange, ...] | None:
    return None if written is None else tuple(Exchange(*said) for said in written)
