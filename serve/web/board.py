"""What every open page sees: the state of the model as the learner last left it."""

import asyncio
import itertools
from collections import deque
from typing import Any

from model.axes import count_parameters
from model.config import ModelConfig
from serve.records import size_name
from serve.session import Session
from train.effective import effective_count

# Lines of lessons, books and growths that a page which comes later still sees.
MOST_NOTICES = 20


class Board:
    """The last snapshot, and whoever waits for the next; the learner writes, pages read."""

    def __init__(self, session: Session, remark: str = "") -> None:
        self.remark = remark
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self._notices: deque[dict[str, Any]] = deque(maxlen=MOST_NOTICES)
        self._numbers = itertools.count(1)
        self.reading: dict[str, Any] | None = None
        self.snapshot: dict[str, Any] = {}
        self.look(session)

    def look(self, session: Session) -> None:
        """The snapshot is of the session as it is now; called by the learner."""
        # Only looked at: whoever waits for a lesson's line must not wait for its rehearsals.
        state = session.present
        model = state.config.model
        try:
            context = [[message.role, message.text] for message in session.context()]
        except ValueError as error:
            # An owner's edit that cannot be parsed yet; the page shows the sentence.
            context = [["assistant", str(error)]]
        self.snapshot = {
            "folder": session.life.workdir.name,
            "parameters": count_parameters(model),
            "size": size_name(count_parameters(model)),
            "sizes": model_sizes(model),
            "lessons": state.lessons,
            "steps": state.steps,
            "books": effective_count(session.life.journal, "book"),
            "event": state.event,
            "learning": session.learning,
            "read_only": session.life.lock is None,
            "remark": self.remark,
            "replies": session.sampling.replies,
            "context": context,
        }
        self.changed()

    def notice(self, kind: str, line: str, **more: Any) -> None:
        """The pages show the line; called by the learner."""
        self._notices.append({"number": next(self._numbers), "kind": kind, "line": line, **more})
        self.changed()

    def changed(self) -> None:
        """Everyone who waits looks again; any thread may call it."""
        for loop, event in list(self._waiting):
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def view(self, queue: list[dict[str, Any]]) -> dict[str, Any]:
        """The whole of what a page shows of the present."""
        return {
            **self.snapshot,
            "queue": queue,
            "reading": self.reading,
            "notices": list(self._notices),
        }

    def subscribe(self) -> asyncio.Event:
        """An event that is set after every change, until `unsubscribe`."""
        event = asyncio.Event()
        self._waiting.add((asyncio.get_running_loop(), event))
        return event

    def unsubscribe(self, event: asyncio.Event) -> None:
        self._waiting = {pair for pair in self._waiting if pair[1] is not event}


def model_sizes(model: ModelConfig) -> dict[str, int]:
    """The sizes that a growth can change, and the vocabulary."""
    names = ("d_model", "d_ff", "n_layers", "n_kv_heads", "n_query_groups", "head_dim", "context")
    return {name: getattr(model, name) for name in (*names, "vocab_size")}
