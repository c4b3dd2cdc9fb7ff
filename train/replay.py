"""From the journal to the weights and back: restore, apply, save."""

import time
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import jax

from model.config import ModelConfig
from model.transformer import init_parts
from train.adopt import adopted_params
from train.checkpoint import (
    check_checkpoint,
    clean_checkpoints,
    list_checkpoints,
    load_checkpoint,
    remove_checkpoint,
    save_checkpoint,
)
from train.disk_store import is_generation
from train.effective import effective_events, gone_with, prefix_digests, undone_events
from train.growth import apply_grow
from train.lesson import apply_lesson
from train.life import INIT_STREAM, Life, LifeState
from train.newborn import read_growths, write_growths
from train.reading import apply_read
from train.record_file import DamagedRecordError, part_names, part_of
from train.records import CheckpointRow, Event
from train.schedule import read_memory, write_memory
from train.sleep import apply_sleep
from train.state import TrainState, abstract_state, with_moments
from train.step import StepConfig
from train.store import assembled, check, generation_of, in_memory, on_disk, parts_of
from train.talk import with_present_prompts
from train.thinning import TRAINING, ages, cost, thinned
from train.versions import changed_versions

Say = Callable[[str], None]


class Replayed(NamedTuple):
    """How far a replay is: events done and in all, and the seconds that they took at first."""

    events: int
    of: int
    seconds: float
    of_seconds: float


Watch = Callable[[Replayed], None]


def restore(
    life: Life, say: Say = lambda _: None, watch: Watch = lambda _: None
) -> tuple[LifeState, float]:
    """The state after the journal's last event, and the seconds that replaying took.

    It is the newest valid checkpoint, then the effective events after it.

    Args:
      life: an open model folder.
      say: told in a sentence about damaged checkpoints and longer replays.
      watch: told after every event that is replayed.
    """
    if life.lock is not None:
        clean_checkpoints(life.checkpoints)
    while True:
        try:
            state, seconds = _replayed(life, say, watch)
            break
        except DamagedRecordError as error:
            say(f"{error} Going on from an older one and the journal.")
    last = life.journal.last()
    assert last is not None
    if missing := missing_events(life):
        say(f"{missing} Going on without them.")
    return state._replace(event=last.id), seconds


def _replayed(life: Life, say: Say, watch: Watch) -> tuple[LifeState, float]:
    """The state after the last training event, and the seconds of replay.

    Raises:
      DamagedRecordError: found only now; the next try begins at an older checkpoint.
    """
    state = _newest_checkpoint(life, say)
    if state is None:
        state = newborn(life)
    started = time.monotonic()
    todo = training_events(life, after=state.event)
    if todo:
        say(f"replaying {len(todo)} events since the last checkpoint")
        if changed := changed_versions(life.birth["versions"]):
            say(
                f"this model was born with another {', '.join(changed)}; what was learned there "
                "and is replayed here may differ by rounding."
            )
    state = apply_events(life, state, todo, watch)
    return state, time.monotonic() - started if todo else 0.0


def missing_events(life: Life) -> str | None:
    """A sentence when the newest events were acknowledged and are not in the journal any more."""
    lost, last = life.journal.lost(), life.journal.last()
    if not lost or last is None:
        return None
    return (
        f"the journal of {life.workdir} is damaged at its end: {lost} acknowledged events after "
        f"event {last.id} are missing; restore it from a copy."
    )


def newborn(life: Life) -> LifeState:
    """The state at birth: made from the seed, or from the weights that were imported."""
    config = life.birth_config
    key = life.stream(INIT_STREAM, 0)
    if "weights" in life.birth:
        params = adopted_params(life)
        parts = ((name, part_of(params, name)) for name in part_names(params))
    else:
        parts = init_parts(config.model, key)
    abstract = abstract_state(config.model, config.optimizer)
    state_parts = with_moments(parts, config.optimizer)
    if life.store.wants_disk(abstract, config.dtype):
        train = on_disk(life.disk, abstract, state_parts)
    else:
        train = assembled(dict(state_parts))
    return LifeState(train, config, event=1, steps=0, lessons=0)


def placed(life: Life, train: TrainState) -> TrainState:
    """The state where the life's store wants it."""
    abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), train)
    wanted = life.store.wants_disk(abstract, life.disk.dtype)
    generation = generation_of(train)
    if wanted and generation is None:
        return on_disk(life.disk, abstract, parts_of(train))
    return train if wanted or generation is None else in_memory(train)


def restore_without(
    life: Life, events: Collection[int], watch: Watch = lambda _: None
) -> LifeState:
    """The state of a life in which these events never happened, made aside; nothing is written."""
    life = life.aside()
    state = _newest_checkpoint(life, lambda _: None, gone_with(life.journal, events))
    state = newborn(life) if state is None else state
    todo = training_events(life, after=state.event, without=events)
    return apply_events(life, state, todo, watch)


def training_events(
    life: Life, after: int = 0, without: Collection[int] = frozenset()
) -> list[Event]:
    """What is to be applied after event `after`, as after every undo, and one of `without`."""
    gone = gone_with(life.journal, without)
    events = [e for e in life.journal.events(after, TRAINING) if e.id not in gone]
    return with_present_prompts(life, events, without)


def apply_events(
    life: Life, state: LifeState, events: Iterable[Event], watch: Watch = lambda _: None
) -> LifeState:
    """The state after these training events."""
    events = list(events)
    total = sum(map(cost, events))
    done = 0.0
    for number, event in enumerate(events, start=1):
        state = apply_event(life, state, event)
        jax.block_until_ready(state.train.params["norm_out"])
        done += cost(event)
        watch(Replayed(number, len(events), done, total))
    return state


def apply_event(life: Life, state: LifeState, event: Event) -> LifeState:
    """The state after one more event; events that train nothing only move `event` on."""
    if event.kind in _APPLY:
        state = _APPLY[event.kind](life, state, event)
    return state._replace(event=event.id)


_APPLY = {
    "read": lambda life, state, event: apply_read(life, state, event.data),
    "lesson": apply_lesson,
    "sleep": apply_sleep,
    "grow": lambda life, state, event: apply_grow(life, state, event.data),
}


def save(life: Life, state: LifeState) -> str:
    """A checkpoint of the state exists and is known, older ones are thinned; its digest."""
    assert state.owed is None
    generation = generation_of(state.train)
    if generation is not None and generation.event is not None:
        # Nothing was trained since.
        return next(r.digest for r in life.journal.checkpoints() if r.event == generation.event)
    known = {row.event: row for row in life.journal.checkpoints()}
    if state.event in list_checkpoints(life.checkpoints):
        row = known.get(state.event)
        if row is not None and is_sound(life, row):
            return row.digest
        # Damaged, or a kill came between it and its row.
        life.journal.drop_checkpoint(state.event)
        remove_checkpoint(life.checkpoints, state.event)
    elif state.event in known:
        life.journal.drop_checkpoint(state.event)
    metadata = {
        "model": state.config.model.to_json(),
        "growths": write_growths(state.config.growths),
        "steps": state.steps,
        "lessons": state.lessons,
        "memory": write_memory(state.memory),
        "prefix": prefix_digests(life.journal, [state.event])[state.event],
    }
    if generation is None:
        digest, manifest = save_checkpoint(
            life.checkpoints, state.train, event=state.event, metadata=metadata
        )
    else:
        digest, manifest = life.disk.commit(generation, state.event, metadata)
    life.journal.record_checkpoint(state.event, digest, manifest)
    thin(life)
    return digest


def thin(life: Life) -> None:
    """Only checkpoints worth their disk are left: known, of this life, and well spaced."""
    valid = [row.event for row in valid_checkpoints(life)]
    events = effective_events(life.journal, kinds=TRAINING)
    kept = thinned(ages(valid, events))
    rows = {row.event for row in life.journal.checkpoints()}
    folders = set(list_checkpoints(life.checkpoints))
    for event in sorted((rows | folders) - set(kept)):
        if event in rows:
            life.journal.drop_checkpoint(event)
        if event in folders:
            remove_checkpoint(life.checkpoints, event)


def valid_checkpoints(life: Life, gone: frozenset[int] | None = None) -> list[CheckpointRow]:
    """The known checkpoints that were made under these same events, newest first.

    Args:
      life: an open model folder.
      gone: ids taken back; the present ones when None.
    """
    gone = undone_events(life.journal) if gone is None else gone
    rows = [row for row in life.journal.checkpoints() if life.disk.may_have(row)]
    digests = prefix_digests(life.journal, [row.event for row in rows], gone)
    return [row for row in rows if row.manifest["metadata"].get("prefix") == digests[row.event]]


def load_state(life: Life, row: CheckpointRow) -> LifeState:
    """The state of a checkpoint; ValueError when it is damaged."""
    metadata = row.manifest["metadata"]
    config, train = _opened(life, row)
    train = placed(life, train)
    memory = read_memory(metadata["memory"], lambda event: life.journal.event(event).data)
    return LifeState(train, config, row.event, metadata["steps"], metadata["lessons"], memory)


def is_sound(life: Life, row: CheckpointRow) -> bool:
    """Whether a checkpoint is as it was saved, by every byte."""
    try:
        if is_generation(row):
            check(_opened(life, row)[1])
            return True
        return check_checkpoint(life.checkpoints, row.event, row.digest)
    except ValueError:
        return False


def _opened(life: Life, row: CheckpointRow) -> tuple[StepConfig, TrainState]:
    """The config and the state of a checkpoint, on the disk or in memory as it was saved."""
    metadata = row.manifest["metadata"]
    config = life.birth_config._replace(
        model=ModelConfig.from_json(metadata["model"]),
        growths=read_growths(metadata["growths"]),
    )
    abstract = abstract_state(config.model, config.optimizer)
    if is_generation(row):
        return config, life.disk.open(row.event, row.digest, abstract).tree()
    return config, load_checkpoint(life.checkpoints, row.event, abstract, digest=row.digest)


def _newest_checkpoint(
    life: Life, say: Say, gone: frozenset[int] | None = None
) -> LifeState | None:
    for row in valid_checkpoints(life, gone):
        try:
            return load_state(life, row)
        except ValueError as error:
            say(f"{error} Going on from an older one and the journal.")
    return None
