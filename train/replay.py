"""From the journal to the weights and back: restore, apply, save."""

from collections.abc import Callable

from model.config import ModelConfig
from train.adopt import adopted_params
from train.checkpoint import (
    clean_checkpoints,
    list_checkpoints,
    load_checkpoint,
    remove_checkpoint,
    save_checkpoint,
)
from train.flat_tree import tree_digest
from train.lesson import apply_lesson
from train.life import INIT_STREAM, Life, LifeState
from train.reading import apply_read
from train.records import Event
from train.state import TrainState, abstract_state, init_opt_state, init_state

# Older checkpoints are caches that replay can do without.
KEPT_CHECKPOINTS = 3

Say = Callable[[str], None]


def restore(life: Life, say: Say = lambda _: None) -> LifeState:
    """The state after the journal's last event: newest valid checkpoint, then replay.

    Args:
      life: an open model folder.
      say: told in a sentence about damaged checkpoints and longer replays.
    """
    if life.lock is not None:
        clean_checkpoints(life.checkpoints)
    state = _newest_checkpoint(life, say)
    if state is None:
        state = newborn(life)
    return apply_events(life, state, say)


def newborn(life: Life) -> LifeState:
    """The state at birth: made from the seed, or from the weights that were imported."""
    config = life.birth_config
    if "weights" in life.birth:
        params = adopted_params(life)
        train = TrainState(params, init_opt_state(params, config.optimizer))
    else:
        train = init_state(config.model, config.optimizer, life.stream(INIT_STREAM, 0))
    return LifeState(train, config, event=1, steps=0, lessons=0)


def apply_events(life: Life, state: LifeState, say: Say = lambda _: None) -> LifeState:
    """The state after every event of the journal that `state` does not include yet."""
    todo = list(life.journal.events(after=state.event))
    trained = [event for event in todo if event.kind in _APPLY]
    if trained:
        say(f"replaying {len(trained)} events since the last checkpoint")
    for event in todo:
        state = apply_event(life, state, event)
    return state


def apply_event(life: Life, state: LifeState, event: Event) -> LifeState:
    """The state after one more event; events that train nothing only move `event` on."""
    if event.kind in _APPLY:
        state = _APPLY[event.kind](life, state, event.data)
    return state._replace(event=event.id)


_APPLY = {"read": apply_read, "lesson": apply_lesson}


def save(life: Life, state: LifeState) -> str:
    """A checkpoint of the state exists, older ones are thinned; returns its digest."""
    if state.event in list_checkpoints(life.checkpoints):
        return tree_digest(state.train)
    metadata = {
        "model": state.config.model.to_json(),
        "steps": state.steps,
        "lessons": state.lessons,
    }
    digest, manifest = save_checkpoint(
        life.checkpoints, state.train, event=state.event, metadata=metadata
    )
    life.journal.record_checkpoint(state.event, digest, manifest)
    for event in list_checkpoints(life.checkpoints)[:-KEPT_CHECKPOINTS]:
        life.journal.drop_checkpoint(event)
        remove_checkpoint(life.checkpoints, event)
    return digest


def _newest_checkpoint(life: Life, say: Say) -> LifeState | None:
    for row in life.journal.checkpoints():
        metadata = row.manifest["metadata"]
        config = life.birth_config._replace(model=ModelConfig.from_json(metadata["model"]))
        abstract = abstract_state(config.model, config.optimizer)
        try:
            train = load_checkpoint(life.checkpoints, row.event, abstract, digest=row.digest)
        except ValueError as error:
            say(f"{error} Going on from an older one and the journal.")
            continue
        return LifeState(train, config, row.event, metadata["steps"], metadata["lessons"])
    return None
