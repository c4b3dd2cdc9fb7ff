"""Old lessons while a book is read: they come back on the way, sooner while some are shaken."""

import dataclasses
from typing import Any

import jax

from model.axes import count_parameters
from train.lesson import rehearse
from train.life import READING_STREAM, Life, LifeState
from train.recipe import RECIPES, Recipe
from train.schedule import Items

# Windows between two rehearsals while lessons are shaken, and the share of them that makes them so.
SHAKEN_EVERY, SHAKEN_SHARE = 8, 0.1


def plan_rehearsal(state: LifeState, every: int, end: int) -> dict[str, Any] | None:
    """What a row of the journal says about old lessons in it; None if there are none, or never.

    Args:
      every: windows between two rehearsals of lessons that are known; 0 is never.
      end: the window at which the reading ends; several rehearsals follow it.
    """
    if not (state.memory.items and every):
        return None
    return {
        "every": every,
        "shaken_every": min(every, SHAKEN_EVERY),
        "end": end,
        "recipe": dataclasses.asdict(RECIPES["rehearsed"]),
    }


def rehearse_after(
    life: Life, state: LifeState, planned: dict[str, Any] | None, before: int, now: int
) -> LifeState:
    """The state after the rehearsals that are due when windows `before` to `now` were read.

    A function of the state and these, so that a replay makes the same ones.
    """
    if planned is None:
        return state
    recipe = Recipe(**planned["recipe"])
    every = planned["shaken_every" if are_shaken(state.memory.items, state.lessons) else "every"]
    count = int(before // every < now // every)
    if now >= planned["end"]:
        parameters = count_parameters(state.config.model)
        count, recipe = recipe.rehearsals_of(parameters), recipe.of_rehearsals(parameters)
    key = life.stream(READING_STREAM, state.steps)
    for number in range(count):
        state, _ = rehearse(life, state, recipe, jax.random.fold_in(key, number), early=True)
    return state


def are_shaken(items: Items, now: int) -> bool:
    """Whether of the typed lessons too many were not known when they last came back."""
    typed = [item for item in items if not item.pick]
    unknown = [item for item in typed if item.interval == 1 and item.due <= now]
    return len(unknown) > SHAKEN_SHARE * len(typed)
