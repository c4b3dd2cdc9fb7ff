"""The weights as they were at an event of the life, and what one event did to them."""

from typing import NamedTuple

from model.summary import Table, difference, table
from train.effective import undone_events
from train.life import Life, LifeState
from train.replay import (
    apply_event,
    apply_events,
    newborn,
    training_events,
)
from train.saved import load_state, valid_checkpoints
from train.store import kept
from train.thinning import TRAINING, cost


class Change(NamedTuple):
    """One event's work: the weights after it, and the difference that it made.

    `difference` is None when the event changed shapes, as a growth does.
    """

    after: Table
    difference: Table | None


def replay_seconds(life: Life, event: int) -> float:
    """What the training events cost that have to be applied again to see that event."""
    start = max((row.event for row in valid_checkpoints(life) if row.event < event), default=1)
    return sum(cost(e) for e in life.journal.events(start, kinds=TRAINING, until=event))


def state_before(life: Life, event: int) -> LifeState:
    """The state just before an event, of a life without what was undone since."""
    for row in valid_checkpoints(life):
        if row.event < event:
            state = load_state(life, row)
            break
    else:
        state = newborn(life)
    todo = [e for e in training_events(life, after=state.event) if e.id < event]
    return apply_events(life, state, todo)


def change_by(life: Life, event: int) -> Change:
    """What an event did to every leaf.

    Raises:
      ValueError: no such event, or one that changes no weights or was undone.
    """
    found = life.journal.event(event)
    if found.kind not in TRAINING:
        raise ValueError(f"event {event} ({found.kind}) changes no weights; name a lesson or book.")
    if event in undone_events(life.journal):
        raise ValueError(f"event {event} was undone, its weights are no part of this life.")
    life = life.aside()
    state = state_before(life, event)
    before, config = kept(state.train.params), state.config.model
    (now,) = [e for e in training_events(life, after=event - 1) if e.id == event]
    state = apply_event(life, state, now)
    after = state.train.params
    if state.config.model != config:
        return Change(table(after, state.config.model), None)
    return Change(table(after, config), difference(before, after, config))
