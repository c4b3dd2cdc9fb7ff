"""Rehearsal while nobody types: bounded, ended as soon as somebody does, safe in the journal."""

import dataclasses
import time
from collections.abc import Callable
from typing import NamedTuple

import jax

from model.axes import count_parameters
from train.effective import effective_events
from train.lesson import rehearse
from train.life import REST_STREAM, Life, LifeState
from train.recipe import Recipe
from train.records import Event
from train.store import generation_of

# Updates after one lesson, at most.
REST_UPDATES = 30
# Times the rate of lessons: what they stirred up settles (docs/lessons.md).
REST_RATE = 0.5
# Larger models do not rest: whoever comes back waits for the update that has begun.
REST_PARAMETERS = 64_000_000


class Rest(NamedTuple):
    """What a rest did; an event of its own, which goes with the lesson that it followed."""

    event: int
    updates: int
    seconds: float


def is_called_for(state: LifeState, recipe: Recipe) -> bool:
    """Whether the last lesson calls for rest.

    Not before the first lesson and after a picked one, which rehearsal would make the only reply;
    not while the model's own replies are to be taken anew, or without them; not of a model on
    the disk, to which every update writes the whole of it.
    """
    memory = state.memory
    return (
        bool(memory.items)
        and not memory.items[-1].pick
        and memory.own is not None
        and not memory.stale
        and recipe.rehearsals > 0
        and count_parameters(state.config.model) <= REST_PARAMETERS
        and generation_of(state.train) is None
    )


def give_rest(
    life: Life,
    state: LifeState,
    recipe: Recipe,
    most: int = REST_UPDATES,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[LifeState, Rest | None]:
    """The state after some rehearsal that is safe in the journal; None where there was none.

    Args:
      state: donated; nothing is owed in it.
      recipe: of the lessons.
      most: updates after the last lesson, earlier rests among them.
      should_stop: asked before every update.
    """
    assert state.owed is None
    started = time.monotonic()
    if not is_called_for(state, recipe):
        return state, None
    lesson = state.memory.items[-1].event
    first = _made(life, lesson)
    recipe = dataclasses.replace(recipe, learning_rate=REST_RATE * recipe.learning_rate)
    data = {"lesson": lesson, "first": first, "recipe": dataclasses.asdict(recipe)}
    updates = 0
    while first + updates < most and not should_stop():
        state = _rehearsed(life, state, recipe, first + updates)
        updates += 1
    if not updates:
        return state, None
    jax.block_until_ready(state.train.params["norm_out"])
    seconds = time.monotonic() - started
    event = life.journal.append("rest", {**data, "updates": updates, "seconds": seconds})
    return state._replace(event=event.id), Rest(event.id, updates, seconds)


def apply_rest(life: Life, state: LifeState, event: Event) -> LifeState:
    """The state after a rest that the journal holds."""
    data = event.data
    recipe = Recipe(**data["recipe"])
    for number in range(data["first"], data["first"] + data["updates"]):
        state = _rehearsed(life, state, recipe, number)
    return state


def _made(life: Life, lesson: int) -> int:
    """Updates of rest since a lesson."""
    rests = effective_events(life.journal, lesson, kinds=("rest",))
    return sum(rest.data["updates"] for rest in rests if rest.data["lesson"] == lesson)


def _rehearsed(life: Life, state: LifeState, recipe: Recipe, number: int) -> LifeState:
    """The state after one more update; a function of the state and the number since the lesson."""
    key = jax.random.fold_in(life.stream(REST_STREAM, state.lessons), number)
    return rehearse(life, state, recipe, key)[0]
