"""What a model will take before anything of it exists: memory, disk, time, by measured rates."""

from typing import NamedTuple

import jax.numpy as jnp

from model.axes import count_parameters
from train.activities import Activities, ActivitySeconds
from train.memory import gigabytes
from train.plan_times import WEIGHT_BYTES, Surroundings, Times, plan_times
from train.residency import FRAMEWORK_BYTES, least_bytes, tree_bytes
from train.state import abstract_state
from train.step import StepConfig


class MemoryPlan(NamedTuple):
    """A model to come: bytes by part in memory and on the disk, and its times.

    `ram` has the most of each part, `peak_bytes` the most of all at one moment, during
    `peak_activity`; `least_bytes` would do with the state on the disk.
    """

    parameters: int
    store: str
    ram: dict[str, int]
    disk: dict[str, int]
    peak_bytes: int
    peak_activity: str
    least_bytes: int
    times: Times


def plan_memory(
    config: StepConfig, costs: Activities, seconds: ActivitySeconds, around: Surroundings
) -> MemoryPlan:
    """The plan of a model whose state is in memory where that fits, and else on the disk.

    Raises:
      ValueError: what may be held is less than the least possible, which is named.
    """
    parameters = count_parameters(config.model)
    parts, busy = _parts(config, costs, around), _activities(config, costs)
    busiest = max(busy, key=lambda name: busy[name])
    state = _state_bytes(config)
    in_ram = around.framework_bytes + state + busy[busiest]
    recomputed = _recomputed(config, costs, around.recipe.windows)
    least = min(in_ram, around.framework_bytes + _records(config) + recomputed)
    allowed = in_ram if around.memory_bytes is None else around.memory_bytes
    if allowed < least:
        raise ValueError(
            f"memory must be at least {gigabytes(least)} for {parameters:,} parameters, their "
            f"weights and moments on the disk, got {gigabytes(allowed)}; allow more, or choose a "
            "smaller size."
        )
    # The last checkpoint and the next one; of a state on the disk they are two generations.
    disk = {"weights": 2 * parts["weights"], "moments": 2 * parts["moments"]}
    if allowed >= in_ram:
        times = plan_times(config, seconds, around, 0, 0)
        return MemoryPlan(parameters, "ram", parts, disk, in_ram, busiest, least, times)
    # First the copy stays, which the forward pass and the replies read, then whole layers.
    copy = parts["copy"] if parts["copy"] <= allowed - least else 0
    resident = allowed - least - copy if copy else 0
    in_memory = resident + _records(config)
    ram = parts | {
        "weights": in_memory * parts["weights"] // state,
        "moments": in_memory - in_memory * parts["weights"] // state,
        "copy": copy,
        "residuals": recomputed,
    }
    streamed = state - resident
    # Without the copy the forward pass reads the weights themselves.
    times = plan_times(config, seconds, around, streamed, 0 if copy else parts["weights"])
    peak = least + copy + resident
    return MemoryPlan(parameters, "disk", ram, disk, peak, "a lesson", least, times)


def _parts(config: StepConfig, costs: Activities, around: Surroundings) -> dict[str, int]:
    """The most of each part with the state in memory."""
    parameters = count_parameters(config.model)
    return {
        "weights": WEIGHT_BYTES * parameters,
        "moments": _state_bytes(config) - WEIGHT_BYTES * parameters,
        "copy": _copy_bytes(config),
        "residuals": _most(costs, "_block_forward"),
        "logits": _most(costs, "_head_forward"),
        "gradients": _most(costs, "_block_backward") + _gradient_bytes(config),
        "cache": costs.cache_bytes,
        "framework": around.framework_bytes,
    }


def _activities(config: StepConfig, costs: Activities) -> dict[str, int]:
    """The most that each activity holds besides the state."""
    copy = _copy_bytes(config)
    replies = max(costs.prompt.all.held_bytes, costs.token.all.held_bytes)
    return {
        # The copy that the replies came from is there until the lesson is made.
        "a lesson": copy + costs.lesson.all.held_bytes,
        "reading": costs.reading.all.held_bytes,
        "replies": copy + costs.cache_bytes + replies,
    }


def _state_bytes(config: StepConfig) -> int:
    """What weights and moments take."""
    return tree_bytes(abstract_state(config.model, config.optimizer))


def _copy_bytes(config: StepConfig) -> int:
    """What the replies' rounded weights take."""
    return count_parameters(config.model) * jnp.dtype(config.dtype).itemsize


def _most(costs: Activities, name: str) -> int:
    """The most that a function's results take, in a lesson or while reading."""
    return max(step.by_name[name].held_bytes for step in (costs.lesson, costs.reading))


def _records(config: StepConfig) -> int:
    """What the records take that are read, computed and written while a step goes over the disk."""
    return least_bytes(abstract_state(config.model, config.optimizer)) - FRAMEWORK_BYTES


def _recomputed(config: StepConfig, costs: Activities, rows: int) -> int:
    """What a step holds whose layers keep only their inputs: these, and one layer's residuals."""
    model, by_name = config.model, costs.lesson.by_name
    inputs = model.n_layers * rows * model.context * model.d_model * WEIGHT_BYTES
    together = 1 if config.remat else model.n_layers
    one_layer = by_name["_block_forward"].held_bytes // together
    return inputs + max(
        one_layer + by_name["_block_backward"].held_bytes + _gradient_bytes(config),
        by_name["_head_forward"].held_bytes,
    )


def _gradient_bytes(config: StepConfig) -> int:
    """What the gradients of a layer take, every layer's in the same memory."""
    return tree_bytes(abstract_state(config.model, config.optimizer).params["blocks"][0])
