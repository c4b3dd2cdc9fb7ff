"""Rehearsal alone, while nobody teaches; afterwards the model's own replies are taken anew."""

import dataclasses
import time
from typing import Any, NamedTuple

import jax

from model.axes import count_parameters
from train.effective import effective_events
from train.lesson import rehearse
from train.life import SLEEP_STREAM, Life, LifeState
from train.own_replies import with_own_replies
from train.recipe import Recipe
from train.records import Event
from train.schedule import count_known


class Sleep(NamedTuple):
    """What a sleep did: updates, and of the last one's old lessons how many were known."""

    event: int
    updates: int
    rehearsed: int
    known: int
    seconds: float


def give_sleep(
    life: Life, state: LifeState, recipe: Recipe, updates: int | None = None
) -> tuple[LifeState, Sleep]:
    """The state after some rehearsal that is safe in the journal.

    Args:
      state: donated.
      recipe: of the updates.
      updates: how many; by default so many that every lesson comes back twice.

    Raises:
      ValueError: there is no lesson to rehearse, or a number below 1.
    """
    started = time.monotonic()
    if not state.memory.items:
        raise ValueError("there is no lesson to rehearse yet; teach one first.")
    if updates is None:
        updates = max(1, 2 * len(state.memory.items) // max(recipe.old, 1))
    if updates < 1:
        raise ValueError(f"a sleep needs at least 1 update, got {updates}; name more.")
    data: dict[str, Any] = {"updates": updates, "recipe": dataclasses.asdict(recipe)}
    last = life.journal.last()
    assert last is not None
    state, losses = _sleep(life, state, last.id + 1, data)
    known = count_known(state.memory.items, losses)
    results = {
        "rehearsed": len(losses),
        "known": known,
        "seconds": time.monotonic() - started,
    }
    event = life.journal.append("sleep", {**data, **results})
    return state._replace(event=event.id), Sleep(event.id, updates, **results)


def apply_sleep(life: Life, state: LifeState, event: Event) -> LifeState:
    """The state after a sleep that the journal holds."""
    return _sleep(life, state, event.id, event.data)[0]


def _sleep(
    life: Life, state: LifeState, event: int, data: dict[str, Any]
) -> tuple[LifeState, dict[int, float]]:
    """The state after a sleep, and the losses of the last update's old lessons before it."""
    recipe = Recipe(**data["recipe"]).of_rehearsals(count_parameters(state.config.model))
    number = sum(1 for _ in effective_events(life.journal, kinds=("sleep",), until=event - 1))
    key = life.stream(SLEEP_STREAM, number)
    losses: dict[int, float] = {}
    if recipe.own:
        state = with_own_replies(life, state)
    for update in range(data["updates"]):
        state, losses = rehearse(life, state, recipe, jax.random.fold_in(key, update), early=True)
    return state._replace(memory=state.memory._replace(own=None)), losses
