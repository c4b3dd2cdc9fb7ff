"""The present weights of an open model folder: kept whole, saved in time, measured."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Self

from model.transformer import Params
from serve.autosave import Autosave
from train.evaluate import quick_held_out
from train.lesson import settle
from train.life import Life, LifeState
from train.own_replies import with_own_replies
from train.recipe import RECIPES
from train.replay import Watch, restore
from train.rest import REST_UPDATES, Rest, give_rest
from train.schedule import Memory
from train.state import TrainState
from train.store import compute_weights

# Held-out windows measured after every lesson, in all.
QUICK_WINDOWS = 4


class OpenModel:
    """One open model folder and its state. A context manager: leaving it saves and closes."""

    def __init__(self, life: Life, state: LifeState, unsaved: float = 0.0) -> None:
        self.life = life
        self.recipe = RECIPES["rehearsed"]
        # Whether turns are written down and may become lessons.
        self.learning = life.lock is not None
        # Updates of rehearsal after a lesson, at most, while nobody types.
        self.rest_updates = REST_UPDATES
        self._state = state
        # Another thread may be making what a lesson owes while this one goes on.
        self._settling, self._leaving = threading.RLock(), False
        # Whether a lesson may come next, and the memory that it will begin with, if made ahead.
        self._next_is_a_lesson = False
        self._ahead: Memory | None = None
        self._copy: Params | None = None
        self._held_out: float | None = None
        self._autosave = Autosave(life, unsaved)

    @property
    def state(self) -> LifeState:
        """The present state; what the last lesson still owes is made first."""
        with self._settling:
            if self._state.owed is not None:
                started = time.monotonic()
                with self._restored_after_failure():
                    self.state, self._copy = settle(self.life, self._state), None
                self._autosave.unsaved += time.monotonic() - started
            return self._state

    @state.setter
    def state(self, state: LifeState) -> None:
        with self._settling:
            # What was made ahead is of the weights and the memory that were there.
            if state.train is not self._state.train or state.memory is not self._state.memory:
                self._ahead = None
            self._state = state

    @property
    def present(self) -> LifeState:
        """The state as it is, what is owed still to be made: for sizes and counts."""
        return self._state

    def settle(self) -> None:
        """What the last lesson owes and the next one needs is made, and saved when due.

        For a time when nobody waits: after a lesson, or while the replies to choose from are read.
        """
        with self._settling:
            state = self.state
            self._autosave.save_when_due(state)
            if self._next_is_a_lesson and self._ahead is None:
                self._ahead = with_own_replies(self.life, state, lambda: self._leaving).memory

    def rest(self, should_stop: Callable[[], bool] = lambda: False) -> Rest | None:
        """Old lessons were rehearsed while nobody typed; None when none are called for.

        Whoever looks at the state waits until the update that has begun is done, so `should_stop`
        must be true by then.
        """
        if not self.learning or should_stop():
            return None
        with self._restored_after_failure():
            state = self.state
            state, rest = give_rest(self.life, state, self.recipe, self.rest_updates, should_stop)
            if rest is None:
                return None
            self.state, self._copy = state, None
        self._autosave.unsaved += rest.seconds
        if not should_stop():
            self._autosave.save_when_due(state)
        return rest

    def _ready(self) -> LifeState:
        """The present state for a lesson, with the own replies that were made ahead for it.

        They are in no state before, for whatever is between would not be lived again alike.
        """
        state = self.state
        self._next_is_a_lesson = False
        return state if self._ahead is None else state._replace(memory=self._ahead)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Everything is saved and the folder is free."""
        try:
            self.close_lessons()
        finally:
            self.life.close()

    def close_lessons(self) -> None:
        """What was learned since the last checkpoint is in one, and nothing is made ahead."""
        self._leaving = True
        self._autosave.save_all(self.state)

    def save(self) -> str:
        """A checkpoint of the present state exists; returns its digest."""
        return self._autosave.save(self.state)

    def weights(self) -> Params:
        """The parameters as products use them, for sampling."""
        state = self.state
        if self._copy is None:
            self._copy = compute_weights(state.train.params, state.config.dtype)
        return self._copy

    def held_out_change(self) -> tuple[float, float] | None:
        """Bits per byte on a few held-out windows before and after the last lesson, if any."""
        before, self._held_out = self._held_out, self.held_out()
        return None if before is None or self._held_out is None else (before, self._held_out)

    def held_out(self) -> float | None:
        """Bits per byte on a few held-out windows of the books read; None before the first book."""
        return quick_held_out(self.life, self._state, QUICK_WINDOWS)

    def _require_writer(self, what: str) -> None:
        if self.life.lock is None:
            raise ValueError(f"this session only reads; open the folder for writing to {what}.")

    @contextmanager
    def _restored_after_failure(self) -> Iterator[None]:
        """A step may have used up the arrays; the folder still has what was acknowledged.

        Nothing is settled meanwhile, for the step uses up the arrays that it would look at.
        """
        with self._settling:
            try:
                yield
            except BaseException:
                self._restore()
                raise

    def _restore(self, watch: Watch = lambda _: None) -> None:
        """The state is what the folder says; the old one is let go first, to save its memory."""
        with self._settling:
            self._copy, self._held_out, self._autosave.unsaved = None, None, 0.0
            self._ahead = None
            self._state = self._state._replace(train=TrainState({}, {}), owed=None)
            self._state, self._autosave.unsaved = restore(self.life, watch=watch)
