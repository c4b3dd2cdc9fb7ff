"""What a life does, for a plan: its compiled functions, what they hold and how long they take."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from model.config import ModelConfig
from train.compiled import Cost, Costs, costs_of, seconds_of
from train.machine import Machine
from train.recipe import Recipe
from train.state import abstract_state
from train.step import StepConfig, batch_losses, train_step_losses
from train.windows import Batch

# Rows of the windows that a lesson's probes fill, and of a reading step.
PROBE_ROWS, READING_ROWS = 2, 8


class Activities(NamedTuple):
    """The compiled functions' costs of a lesson's update and probe, a reading step, and replies.

    `prompt` and `token` are those of all replies together, whose keys and values are `cache_bytes`.
    """

    lesson: Costs
    probe: Costs
    reading: Costs
    prompt: Costs
    token: Costs
    cache_bytes: int


class ActivitySeconds(NamedTuple):
    """The seconds of the same activities, by the names of their functions."""

    lesson: Mapping[str, float]
    probe: Mapping[str, float]
    reading: Mapping[str, float]
    prompt: Mapping[str, float]
    token: Mapping[str, float]


def training_costs(config: StepConfig, recipe: Recipe) -> tuple[Costs, Costs, Costs]:
    """The costs of a lesson's update, of its probe, and of a reading step."""
    state = abstract_state(config.model, config.optimizer)
    rate = jax.ShapeDtypeStruct((), jnp.float32)

    def step(state, batch, rate):
        return train_step_losses(state, Batch(**batch), rate, config)

    def probe(params, batch):
        return batch_losses(params, Batch(**batch), config)

    return (
        costs_of(step, state, _abstract_batch(config.model, recipe.windows), rate),
        costs_of(probe, state.params, _abstract_batch(config.model, PROBE_ROWS)),
        costs_of(step, state, _abstract_batch(config.model, READING_ROWS), rate),
    )


def _abstract_batch(model: ModelConfig, rows: int) -> dict[str, jax.ShapeDtypeStruct]:
    ids_BT = jax.ShapeDtypeStruct((rows, model.context), jnp.int32)
    weights_BT = jax.ShapeDtypeStruct((rows, model.context), jnp.float32)
    return {
        "tokens_BT": ids_BT,
        "targets_BT": ids_BT,
        "weights_BT": weights_BT,
        "segments_BT": ids_BT,
    }


def time_activities(
    config: StepConfig, costs: Activities, machine: Machine, room: int
) -> ActivitySeconds:
    """What each activity takes on this machine.

    Functions whose arrays take more than `room` bytes are not run, but counted by rates.
    """
    flops = machine.flops_at(config.model.d_model)

    def computed(cost: Cost) -> float:
        return cost.flops / flops + cost.moved_bytes / machine.moved_bytes

    def drawn(cost: Cost) -> float:
        return cost.moved_bytes / machine.narrow_bytes

    return ActivitySeconds(
        lesson=seconds_of(costs.lesson, computed, room),
        probe=seconds_of(costs.probe, computed, room),
        reading=seconds_of(costs.reading, computed, room),
        prompt=seconds_of(costs.prompt, computed, room),
        token=seconds_of(costs.token, drawn, room),
    )
