"""When a session makes a checkpoint: often enough, and for a small part of the time."""

import time

from train.life import Life, LifeState
from train.saved import save

# What is learned is safe in the journal; a checkpoint spares replaying this much of it.
SECONDS_PER_CHECKPOINT = 5.0
# Saving takes at most one part in so many of the time; while a book is read, less.
SAVE_SHARE, READING_SAVE_SHARE = 8, 50


class Autosave:
    """Seconds of training since the last checkpoint of a life, and what that one took."""

    def __init__(self, life: Life, unsaved: float = 0.0) -> None:
        self.life = life
        self.unsaved = unsaved
        self._seconds = 0.0

    def save(self, state: LifeState) -> str:
        """A checkpoint of the state exists; returns its digest."""
        started = time.monotonic()
        digest = save(self.life, state)
        self.unsaved, self._seconds = 0.0, time.monotonic() - started
        return digest

    def save_when_due(
        self, state: LifeState, learned: float = 0.0, share: int = SAVE_SHARE
    ) -> None:
        """After `learned` more seconds of training: a checkpoint, if it is time for one."""
        self.unsaved += learned
        if self.unsaved > max(SECONDS_PER_CHECKPOINT, share * self._seconds):
            self.save_all(state)

    def save_all(self, state: LifeState) -> None:
        """Whatever was learned since the last checkpoint is in one; not of a read-only life."""
        if self.unsaved and self.life.lock is not None:
            self.save(state)
