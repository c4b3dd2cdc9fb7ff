"""From the journal to the weights and back: restore, apply, save."""

import time
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import jax

from model.transformer import init_parts
from train.adopt import adopted_params
from train.checkpoint import (
    clean_checkpoints,
)
from train.effective import gone_with
from train.growth import apply_grow
from train.lesson import apply_lesson
from train.life import INIT_STREAM, Life, LifeState
from train.reading import apply_read
from train.record_file import DamagedRecordError
from train.record_layout import part_names, part_of
from train.records import Event
from train.rest import apply_rest
from train.saved import load_state, valid_checkpoints
from train.sleep import apply_sleep
from train.state import abstract_state, with_moments
from train.store import assembled, on_disk
from train.talk import with_present_prompts
from train.thinning import TRAINING, cost
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
    "rest": apply_rest,
    "grow": lambda life, state, event: apply_grow(life, state, event.data),
}


def _newest_checkpoint(
    life: Life, say: Say, gone: frozenset[int] | None = None
) -> LifeState | None:
    for row in valid_checkpoints(life, gone):
        try:
            return load_state(life, row)
        except ValueError as error:
            say(f"{error} Going on from an older one and the journal.")
    return None
