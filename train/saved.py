"""The checkpoints of a life: made, thinned, found, read; in memory's form or as generations."""

import jax

from model.config import ModelConfig
from train.checkpoint import (
    check_checkpoint,
    list_checkpoints,
    load_checkpoint,
    remove_checkpoint,
    save_checkpoint,
)
from train.disk_store import is_generation
from train.effective import effective_events, prefix_digests, undone_events
from train.life import Life, LifeState
from train.newborn import read_growths, write_growths
from train.records import CheckpointRow
from train.schedule import read_memory, write_memory
from train.state import TrainState, abstract_state
from train.step import StepConfig
from train.store import generation_of, in_memory, on_disk, parts_of
from train.thinning import TRAINING, ages, thinned


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
            _opened(life, row)
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
        generation = life.disk.open(row.event, row.digest, abstract)
        generation.check()
        return config, generation.tree()
    return config, load_checkpoint(life.checkpoints, row.event, abstract, digest=row.digest)


def placed(life: Life, train: TrainState) -> TrainState:
    """The state where the life's store wants it."""
    abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), train)
    wanted = life.store.wants_disk(abstract, life.disk.dtype)
    generation = generation_of(train)
    if wanted and generation is None:
        return on_disk(life.disk, abstract, parts_of(train))
    return train if wanted or generation is None else in_memory(train)
