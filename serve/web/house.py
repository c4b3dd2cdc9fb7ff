"""What the routes share: the session, its learner, the board, the turns still open, the tokens."""

import asyncio
import contextlib
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.requests import Request

from serve.session import Session
from serve.turn import Turn
from serve.web.board import Board
from serve.web.guard import Door
from serve.web.learner import BusyError, Job, Learner, Work
from serve.web.replies import Refusal
from serve.web.tokens import Tokens

# Turns that a page may still teach.
MOST_TURNS = 64
MOST_PAGES = 16


class House:
    """One served model folder. A context manager: leaving it finishes what runs."""

    def __init__(self, session: Session, door: Door, remark: str = "") -> None:
        self.session = session
        self.door = door
        self.tokens = Tokens()
        self.board = Board(session, remark)
        self.learner = Learner(session, self.board.changed)
        self.turns: OrderedDict[int, Turn] = OrderedDict()
        self.refused: Counter[str] = Counter()
        self.pages = 0
        self._uploads = TemporaryDirectory(prefix="apprentice-")
        self.uploads = Path(self._uploads.name)

    def __enter__(self) -> "House":
        return self

    def __exit__(self, *_: object) -> None:
        self.learner.close()
        self._uploads.cleanup()

    def address(self) -> str:
        """An address that opens one page, once."""
        host = self.door.listen or "127.0.0.1"
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
        return f"http://{host}:{self.door.port}/#token={self.tokens.new_address()}"

    def origin(self, request: Request) -> str:
        """Who asks: web or script.

        Raises:
          Refusal: nobody whom we know.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        origin = self.tokens.origin(token.strip()) if scheme.lower() == "bearer" else None
        if origin is None:
            self.refused["token"] += 1
            raise Refusal(
                401, "this page's token is not valid; open a newly printed address.", "token"
            )
        return origin

    def keep(self, turn: Turn) -> None:
        """The turn may be taught for a while."""
        self.turns[turn.event] = turn
        while len(self.turns) > MOST_TURNS:
            self.turns.popitem(last=False)

    def start(
        self,
        request: Request,
        kind: str,
        title: str,
        work: Work,
        *,
        body: bytes | None = None,
        long: bool = False,
    ) -> Job:
        """The job waits for the learner; with a `body`, once for every Idempotency-Key.

        Raises:
          Refusal: the queue is full.
        """
        job = self.job(kind, title, work, self.origin(request), long=long)
        if body is None:
            return self.submit(job)
        key = request.headers.get("idempotency-key", "")
        if not 8 <= len(key) <= 200:
            raise Refusal(
                400,
                "this needs an Idempotency-Key header of 8 to 200 characters, so that a "
                "repeated request is not done twice.",
                "idempotency_key",
            )
        return self.submit(job, f"{request.url.path} {key}", body)

    def submit(self, job: Job, key: str = "", body: bytes = b"") -> Job:
        """The job, or the one there already is with this key, waits for the learner.

        Raises:
          Refusal: the queue is full.
        """
        try:
            return self.learner.submit_once(key, body, job) if key else self.learner.submit(job)
        except BusyError as error:
            self.refused["busy"] += 1
            raise Refusal(503, "too much is waiting already; try again in a moment.", "busy") from (
                error
            )

    def job(self, kind: str, title: str, work: Work, origin: str, *, long: bool = False) -> Job:
        """A job after which every page sees the state that it left."""

        def work_and_look(session: Session, job: Job) -> Any:
            try:
                return work(session, job)
            finally:
                self.board.look(session)

        return Job(kind, title[:80], work_and_look, origin, long)

    def require_writer(self) -> None:
        """Nothing; refuses what would change a folder that is open elsewhere."""
        if self.session.life.lock is None:
            raise Refusal(409, f"nothing can be taught here: {self.board.remark}", "read_only")


async def result(job: Job) -> Any:
    """What the job gave; it goes on when the client goes away.

    Raises:
      Refusal: the server is ending.
    """
    try:
        return await asyncio.shield(asyncio.wrap_future(job.future))
    except BusyError as error:
        raise Refusal(503, "the server is ending; nothing was done.", "busy") from error


@contextlib.asynccontextmanager
async def subscription(board: Board) -> AsyncIterator[asyncio.Event]:
    """An event that is set after every change of the board."""
    event = board.subscribe()
    try:
        yield event
    finally:
        board.unsubscribe(event)
