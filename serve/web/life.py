"""The life over the wire: the journal as a timeline, what is kept and what is forgotten."""

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model.summary import Table, table
from serve.lines import printable
from serve.session import Session
from serve.web.books import Shelf
from serve.web.house import House, result
from serve.web.learner import Job
from serve.web.lines import event_line
from serve.web.replies import Refusal, field, plain, read_object
from serve.web.talk import undo_plan_record
from serve.why import explanation
from train.effective import UNDO, effective_events, undone_events
from train.past import change_by, replay_seconds
from train.probes import retention
from train.recall import recall
from train.records import Event
from train.thinning import TRAINING

PAGE = 50
MOST_RECALLED = 50
KINDS = (
    "birth",
    "lesson",
    "replies",
    "open",
    "read",
    "book",
    "sleep",
    "rest",
    "grow",
    "undo",
    "forget",
)


class Timeline:
    """The journal of one life, as the page asks about it."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._shelf = Shelf(house.session.life.library.folder)

    async def events(self, request: Request) -> Response:
        """The newest events before `before`, of the kinds asked for or holding all words of
        `search`."""
        self._house.origin(request)
        wanted = request.query_params
        before = wanted.get("before", "")
        kinds = [kind for kind in wanted.get("kinds", "").split(",") if kind]
        if (before and not before.isdecimal()) or not set(kinds) <= set(KINDS):
            raise Refusal(400, f"want kinds of {', '.join(KINDS)} and a number.", "bad_input")
        search = plain(wanted.get("search", ""))
        until = int(before) if before else None
        if search.strip():
            rows = await asyncio.to_thread(self._search, search, until)
        else:
            rows = await asyncio.to_thread(self._newest, kinds, until)
        return JSONResponse({"events": rows})

    def _newest(self, kinds: list[str], before: int | None) -> list[dict[str, Any]]:
        journal = self._house.session.life.journal
        gone = undone_events(journal)
        rows = [id for id, kind in journal.index() if not kinds or kind in kinds]
        chosen = [id for id in rows if before is None or id < before][-PAGE:]
        return [self._row(journal.event(id), gone) for id in reversed(chosen)]

    def _search(self, words: str, before: int | None) -> list[dict[str, Any]]:
        journal = self._house.session.life.journal
        gone = undone_events(journal)
        hits = [hit.event for hit in journal.search(words, PAGE)]
        return [self._row(journal.event(id), gone) for id in hits if before is None or id < before]

    def _row(self, event: Event, gone: frozenset[int]) -> dict[str, Any]:
        return {
            "id": event.id,
            "time": event.time,
            "kind": event.kind,
            "line": event_line(event, self._shelf),
            "undone": event.id in gone,
            "origin": event.data.get("origin"),
        }

    async def event(self, request: Request) -> Response:
        """Everything about one event, and what its undo would cost."""
        self._house.origin(request)
        number = min(request.path_params["event"], 2**62)
        return JSONResponse(await asyncio.to_thread(self._details, number))

    def _details(self, number: int) -> dict[str, Any]:
        session = self._house.session
        life = session.life
        event = life.journal.event(number)
        hidden = ("prompt", "answer_ids", "model")
        data = {name: value for name, value in event.data.items() if name not in hidden}
        try:
            plan = undo_plan_record(session.plan_undo(event=number))
        except ValueError as error:
            plan = {"refused": str(error)}
        seconds = replay_seconds(life, number) if event.kind in TRAINING else None
        return {
            **self._row(event, undone_events(life.journal)),
            "data": _printable(data),
            "undo": plan,
            "weights_seconds": seconds,
        }

    async def charts(self, request: Request) -> Response:
        """What was forgotten: held-out bits per byte of every book, at the end of every reading;
        and every lesson's loss before and after it."""
        self._house.origin(request)
        return JSONResponse(await asyncio.to_thread(self._charts))

    def _charts(self) -> dict[str, Any]:
        journal = self._house.session.life.journal
        books = list(effective_events(journal, kinds=("book",)))
        names = list(dict.fromkeys(name for event in books for name in event.data["held_out"]))
        held_out: dict[str, list[float | None]] = {name: [] for name in names}
        for event in books:
            for name, values in held_out.items():
                values.append(event.data["held_out"].get(name, {}).get("after"))
        lessons = list(effective_events(journal, kinds=("lesson",)))[-400:]
        return {
            "forgetting": {
                "events": [event.id for event in books],
                "read": [event.data["book"] for event in books],
                "books": held_out,
            },
            "lessons": {
                "events": [event.id for event in lessons],
                "before": [event.data["loss_before"] for event in lessons],
                "after": [event.data["loss_after"] for event in lessons],
            },
            "undos": journal.count(UNDO),
        }

    async def retention(self, request: Request) -> Response:
        """The last lessons' answers, measured under the weights of now."""
        self._house.origin(request)

        def work(session: Session, job: Job) -> dict[str, Any]:
            del job
            found = recall(session.life, session.state, MOST_RECALLED)
            ages = [row._asdict() for row in retention(session.life, session.state)]
            return {"lessons": [_printable(each._asdict()) for each in found], "ages": ages}

        return await self._done(request, "retention", "measuring old lessons", work)

    async def weights(self, request: Request) -> Response:
        """The table of all weights, or of what one event did to them."""
        wanted = await read_object(request)
        event = field(wanted, "event", int, None)

        def work(session: Session, job: Job) -> dict[str, Any]:
            del job
            if event is None:
                state = session.state
                return {"rows": _rows(table(state.train.params, state.config.model))}
            change = change_by(session.life, event)
            return {"rows": _rows(change.after, change.difference), "event": event}

        return await self._done(request, "weights", "looking at the weights", work)

    async def why(self, request: Request) -> Response:
        """What a reply came from, where the session can tell."""
        wanted = await read_object(request)
        turn = field(wanted, "turn", int)
        reply = field(wanted, "reply", int)

        def work(session: Session, job: Job) -> dict[str, Any]:
            del job
            if turn not in self._house.turns:
                raise Refusal(404, "that turn is not known here any more; ask anew.", "why")
            record, text = explanation(session, self._house.turns[turn], reply)
            return {**_printable(record), "lines": text}

        return await self._done(request, "why", "why a reply", work)

    async def _done(self, request: Request, kind: str, title: str, work: Any) -> Response:
        return JSONResponse(await result(self._house.start(request, kind, title, work)))


def _rows(found: Table, change: Table | None = None) -> list[dict[str, Any]]:
    changes = [None] * len(found) if change is None else [row.rms for row in change]
    return [
        {
            "path": row.path,
            "axes": row.axes,
            "shape": " × ".join(map(str, row.shape)),
            "bytes": row.n_bytes,
            "rms": row.rms,
            "change": rms,
        }
        for row, rms in zip(found, changes, strict=True)
    ]


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): _printable(inner) for key, inner in value.items()}
    return [_printable(inner) for inner in value] if isinstance(value, list) else value
