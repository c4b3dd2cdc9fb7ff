"""The one thread that owns the model, and the queue before it."""

import asyncio
import contextlib
import hashlib
import itertools
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from serve.session import Session

# Jobs that may wait; of the owner's pages and scripts, and of all other programs together.
MOST_WAITING = 4
# Answers that are kept for a request that comes again.
MOST_KEPT = 256
_LOOK_SECONDS = 30.0
SECONDS_BETWEEN_BREAKS = 1.0

Work = Callable[[Session, "Job"], Any]


class BusyError(Exception):
    """The queue is full; nothing was taken."""


class Job:
    """One thing for the learner to do, and what becomes of it.

    Attributes:
      origin: web, script, or endpoint.
      long: books and growth; shorter jobs need not wait for a book.
      future: of the result.
    """

    _numbers = itertools.count(1)

    def __init__(self, kind: str, title: str, work: Work, origin: str, long: bool) -> None:
        self.id = next(self._numbers)
        self.kind, self.title, self.work = kind, title, work
        self.origin, self.long = origin, long
        self.future: Future[Any] = Future()
        self.progress: dict[str, Any] | None = None
        self._stop = threading.Event()
        self._listener: tuple[asyncio.AbstractEventLoop, asyncio.Queue[Any]] | None = None

    def stop(self) -> None:
        """The job ends as soon as it can; one that waits does not begin."""
        self._stop.set()

    def stopped(self) -> bool:
        return self._stop.is_set()

    def parts(self) -> "asyncio.Queue[Any]":
        """A queue of all that `tell` is given; ask for it before the job is submitted."""
        queue: asyncio.Queue[Any] = asyncio.Queue()
        self._listener = (asyncio.get_running_loop(), queue)
        self.future.add_done_callback(lambda _: self.tell(None))
        return queue

    def tell(self, part: Any) -> None:
        """Whoever listens hears of a part of the result; called by the learner."""
        if self._listener is not None:
            loop, queue = self._listener
            if not loop.is_closed():
                loop.call_soon_threadsafe(queue.put_nowait, part)

    def record(self, state: str) -> dict[str, Any]:
        """The job as the page shows it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "title": self.title,
            "origin": self.origin,
            "state": "stopping" if self.stopped() else state,
            "progress": self.progress,
        }


class Learner:
    """Runs jobs one after the other; the owner's go before those of other programs."""

    def __init__(self, session: Session, changed: Callable[[], None] = lambda: None) -> None:
        self._session = session
        self._changed = changed
        self._condition = threading.Condition()
        self._waiting: dict[bool, deque[Job]] = {True: deque(), False: deque()}
        self._running: list[Job] = []
        self._kept: OrderedDict[str, tuple[bytes, Job]] = OrderedDict()
        self._open = True
        self._gave_way = 0.0
        self._thread = threading.Thread(target=self._run, name="learner", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Job:
        """The job waits for its turn.

        Raises:
          BusyError: too many wait already, or the server is ending.
        """
        with self._condition:
            mine = self._waiting[job.origin != "endpoint"]
            if not self._open or len(mine) >= MOST_WAITING:
                raise BusyError
            mine.append(job)
            self._condition.notify_all()
        self._changed()
        return job

    def submit_once(self, key: str, body: bytes, job: Job) -> Job:
        """The job of this key: the one there is already, or else this one, now waiting.

        Raises:
          BusyError: as `submit`.
          ValueError: the key was used for another request.
        """
        digest = hashlib.sha256(body).digest()
        with self._condition:
            known = self._kept.get(key)
            if known is not None and not _failed(known[1]):
                if known[0] != digest:
                    raise ValueError("this Idempotency-Key belongs to another request; make one.")
                return known[1]
            self.submit(job)
            self._kept[key] = (digest, job)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
            return job

    def stop(self, number: int | None = None) -> None:
        """The job of that number ends early; without a number, every reading of a book does."""
        with self._condition:
            jobs = [*self._running, *self._waiting[True], *self._waiting[False]]
        for job in jobs:
            if job.id == number or (number is None and job.kind == "read"):
                job.stop()
        self._changed()

    def queue(self) -> list[dict[str, Any]]:
        """What runs and what waits, as the page shows it."""
        with self._condition:
            running = [job.record("running") for job in self._running]
            waiting = [*self._waiting[True], *self._waiting[False]]
            return running + [job.record("waiting") for job in waiting]

    def asked_for(self) -> bool:
        """Whether a short job waits, so that a book should be laid aside for a moment.

        Other programs are heard only so often, so that they cannot keep the owner's book waiting.
        """
        with self._condition:
            if not self._open:
                return True
            waiting = self._next(short=True)
            rested = time.monotonic() - self._gave_way > SECONDS_BETWEEN_BREAKS
            return waiting is not None and (rested or waiting is self._waiting[True])

    def give_way(self) -> None:
        """The short jobs that waited are done, but not all that come meanwhile.

        Called by a long job between its steps.
        """
        with self._condition:
            count = sum(len(waiting) for waiting in self._waiting.values())
        for _ in range(count):
            job = self._take(short=True)
            if job is not None:
                self._do(job)
        self._gave_way = time.monotonic()

    def close(self) -> None:
        """What runs is finished, books are laid aside, what waits is refused; the thread ended."""
        with self._condition:
            self._open = False
            for job in self._running:
                if job.long:
                    job.stop()
            for waiting in self._waiting.values():
                while waiting:
                    waiting.popleft().future.set_exception(BusyError())
            self._condition.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._rest()
            with self._condition:
                while self._open and self._next() is None:
                    self._condition.wait(_LOOK_SECONDS)
                if not self._open:
                    return
            job = self._take()
            if job is not None:
                self._do(job)

    def _rest(self) -> None:
        """Old lessons came back for as long as nobody asked for anything."""
        # A failure here is met by the next job, which looks at the state too.
        with contextlib.suppress(Exception):
            if self._session.rest(lambda: not self._open or self._next() is not None):
                self._changed()

    def _next(self, *, short: bool = False) -> deque[Job] | None:
        """The queue whose first job is next."""
        for waiting in self._waiting.values():
            if waiting and not (short and waiting[0].long):
                return waiting
        return None

    def _take(self, *, short: bool = False) -> Job | None:
        with self._condition:
            waiting = self._next(short=short)
            if waiting is None:
                return None
            job = waiting.popleft()
            self._running.append(job)
        self._changed()
        return job

    def _do(self, job: Job) -> None:
        try:
            if job.stopped():
                raise ValueError("stopped before it began; nothing was done.")
            self._session.origin = job.origin
            result = job.work(self._session, job)
        except BaseException as error:
            self._ended(job)
            job.future.set_exception(error)
        else:
            self._ended(job)
            job.future.set_result(result)
        # Its result is out; a failure here is met by the next job, which looks at the state too.
        with contextlib.suppress(Exception):
            self._session.settle()

    def _ended(self, job: Job) -> None:
        with self._condition:
            self._running.remove(job)
        self._changed()


def _failed(job: Job) -> bool:
    return job.future.done() and job.future.exception() is not None
