"""What a model will take before anything of it exists: memory, disk, time, by measured rates."""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from model.axes import count_parameters
from model.config import ModelConfig
from train.compiled import Cost, Costs, costs_of
from train.machine import Machine
from train.memory import gigabytes
from train.recipe import Recipe
from train.residency import FRAMEWORK_BYTES, least_bytes, tree_bytes
from train.state import abstract_state
from train.step import StepConfig, batch_losses, train_step_losses
from train.windows import Batch

WEIGHT_BYTES = 4
# Rows of the windows that a lesson's probes fill, and of a reading step.
PROBE_ROWS, READING_ROWS = 2, 8
BOOK_WORDS = 100_000
# Of the starter shelf's prose by its own tokenizer, and how much of a reading window is filled.
TOKENS_PER_WORD, FILLED = 1.45, 0.95
# What a consumer drive of 1 TB is rated to be written in its life.
DRIVE_BYTES = 600e12


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a plan has to know besides the model.

    `framework_bytes` is what the program holds without a model, `memory_bytes` what it may hold,
    None without a limit. A session saves after `checkpoint_seconds` of learning, and after at least
    `checkpoint_share` times what saving takes.
    """

    machine: Machine
    framework_bytes: int
    memory_bytes: int | None
    checkpoint_seconds: float
    checkpoint_share: float
    reply_tokens: int
    recipe: Recipe


class Times(NamedTuple):
    """Seconds, hours of reading a book of 100,000 words, and what a lesson writes.

    A person waits `replies_seconds` for the replies and `lesson_seconds` after choosing; the
    rehearsals follow while they read. A drive of 600 TB is rated for `drive_lessons` of these.
    """

    replies_seconds: float
    lesson_seconds: float
    rehearsal_seconds: float
    reading_step_seconds: float
    book_hours: float
    save_seconds: float
    lesson_written_bytes: float
    drive_lessons: float


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


def plan_memory(config: StepConfig, costs: Activities, around: Surroundings) -> MemoryPlan:
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
        times = _times(config, costs, around, 0, 0)
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
    times = _times(config, costs, around, streamed, 0 if copy else parts["weights"])
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


def _times(
    config: StepConfig, costs: Activities, around: Surroundings, streamed: int, forward: int
) -> Times:
    """The times when so many bytes of the state go over the disk, and of weights once more."""
    machine, recipe = around.machine, around.recipe
    flops = machine.flops_at(config.model.d_model)
    state, parameters = _state_bytes(config), count_parameters(config.model)
    forward_read = forward / machine.disk_read_bytes

    def computed(cost: Cost) -> float:
        return cost.flops / flops + cost.moved_bytes / machine.moved_bytes

    def stepped(step: Costs) -> float:
        if not streamed:
            return computed(step.all)
        # Layers are computed forward once more; the disk works meanwhile.
        again = 0.0 if config.remat else computed(step.by_name["_block_forward"])
        over_disk = streamed / machine.disk_read_bytes + streamed / machine.disk_write_bytes
        return max(computed(step.all) + again, over_disk + forward_read)

    lesson, reading = stepped(costs.lesson), stepped(costs.reading)
    token = costs.token.all.moved_bytes / machine.narrow_bytes
    prompt = computed(costs.prompt.all)
    made_copy = WEIGHT_BYTES * parameters / machine.moved_bytes + forward_read
    probe = max(computed(costs.probe.all), forward_read)
    rehearsals = recipe.rehearsals_of(parameters)
    arrays = len(jax.tree.leaves(abstract_state(config.model, config.optimizer)))
    save, written = _saving(around, state, arrays, (recipe.steps + rehearsals) * lesson)
    if streamed:
        save, written = 0.0, (recipe.steps + rehearsals) * float(streamed)
    windows = BOOK_WORDS * TOKENS_PER_WORD / (FILLED * config.model.context)
    return Times(
        replies_seconds=made_copy + prompt + around.reply_tokens * token,
        lesson_seconds=recipe.steps * lesson + 2 * probe,
        rehearsal_seconds=rehearsals * lesson,
        reading_step_seconds=reading,
        book_hours=math.ceil(windows / READING_ROWS) * reading / 3600,
        save_seconds=save,
        lesson_written_bytes=written,
        drive_lessons=DRIVE_BYTES / written,
    )


def _saving(around: Surroundings, state: int, arrays: int, learning: float) -> tuple[float, float]:
    """Seconds of a checkpoint, and bytes of checkpoints per lesson of so many seconds."""
    machine = around.machine
    seconds = arrays * machine.save_seconds + state / machine.save_bytes
    between = max(around.checkpoint_seconds, around.checkpoint_share * seconds)
    return seconds, state * min(1.0, learning / between)
