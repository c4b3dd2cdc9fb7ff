"""The times of a model to come, by what its functions and this machine's disk take."""

import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

import jax

from model.axes import count_parameters
from train.activities import PROBE_ROWS, READING_ROWS, ActivitySeconds
from train.machine import Machine
from train.recipe import Recipe
from train.remembering import ROW_TOKENS
from train.remembering import ROWS as REMEMBERING_ROWS
from train.residency import tree_bytes
from train.state import abstract_state
from train.step import StepConfig

WEIGHT_BYTES = 4
BOOK_WORDS = 100_000
# Of the starter shelf's prose by its own tokenizer, and how much of a reading window is filled.
TOKENS_PER_WORD, FILLED = 1.45, 0.95
# What a consumer drive of 1 TB is rated to be written in its life.
DRIVE_BYTES = 600e12


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


def plan_times(
    config: StepConfig, seconds: ActivitySeconds, around: Surroundings, streamed: int, forward: int
) -> Times:
    """The times when so many bytes of the state go over the disk, and of weights once more."""
    machine, recipe, context = around.machine, around.recipe, config.model.context
    parameters = count_parameters(config.model)
    abstract = abstract_state(config.model, config.optimizer)
    state, arrays = tree_bytes(abstract), len(jax.tree.leaves(abstract))
    forward_read = forward / machine.disk_read_bytes

    def stepped(step: Mapping[str, float]) -> float:
        computed = math.fsum(step.values())
        if not streamed:
            return computed
        # Layers are computed forward once more; the disk works meanwhile.
        again = 0.0 if config.remat else step["_block_forward"]
        over_disk = streamed / machine.disk_read_bytes + streamed / machine.disk_write_bytes
        return max(computed + again, over_disk + forward_read)

    lesson, reading = stepped(seconds.lesson), stepped(seconds.reading)
    token, prompt = (math.fsum(part.values()) for part in (seconds.token, seconds.prompt))
    made_copy = WEIGHT_BYTES * parameters / machine.moved_bytes + forward_read
    probe = max(math.fsum(seconds.probe.values()), forward_read)
    # What a question calls to mind among few lessons.
    searched = probe * REMEMBERING_ROWS[0] / PROBE_ROWS * min(ROW_TOKENS, context) / context
    rehearsals = recipe.rehearsals_of(parameters)
    save, written = _saving(around, state, arrays, (recipe.steps + rehearsals) * lesson)
    if streamed:
        save, written = 0.0, (recipe.steps + rehearsals) * float(streamed)
    windows = BOOK_WORDS * TOKENS_PER_WORD / (FILLED * config.model.context)
    return Times(
        replies_seconds=made_copy + searched + prompt + around.reply_tokens * token,
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
