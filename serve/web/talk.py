"""Talking over the wire: five replies as they come, lessons, undo, the context file."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from model.chat import format_context
from serve.lines import lesson_line, printable, surprise_warning
from serve.records import lesson_record
from serve.session import Session
from serve.turn import Turn
from serve.undoing import require_agreed, undo_record, undo_sentence
from serve.web.house import House, result
from serve.web.learner import Job
from serve.web.replies import Refusal, event_stream, field, plain, read_object, sse
from train.effective import effective_events
from train.undo import UndoPlan


def turn_record(turn: Turn) -> dict[str, Any]:
    """The turn as the page shows it."""
    replies = [
        {
            "text": printable(reply.text),
            "log_prob": reply.log_prob,
            "ended": reply.ended,
            "remembered": reply.remembered,
        }
        for reply in turn.replies
    ]
    return {"turn": turn.event, "say": printable(turn.question.say), "replies": replies}


async def say(house: House, request: Request) -> Response:
    """The replies to one thing said, as they come, and at last the turn that can be taught."""
    text = plain(field(await read_object(request), "text", str))

    def work(session: Session, job: Job) -> dict[str, Any]:
        for item in session.stream(text, job.stopped):
            if isinstance(item, Turn):
                if session.learning:
                    house.keep(item)
                return turn_record(item)
            job.tell([printable(reply.text) for reply in item])
        raise AssertionError("a stream of replies ends with the turn")

    job = house.job("say", text, work, house.origin(request))
    parts = job.parts()
    house.submit(job)

    async def events() -> AsyncIterator[bytes]:
        yield sse({"job": job.id}, "job")
        while (part := await parts.get()) is not None:
            yield sse(part, "replies")
        try:
            yield sse(await result(job), "turn")
        except (ValueError, Refusal) as error:
            yield sse({"message": getattr(error, "detail", None) or str(error)}, "error")

    return event_stream(events())


async def open_turn(house: House, request: Request) -> Response:
    """A turn that may still be taught, for a page that was loaded again."""
    turn = house.turns.get(request.path_params["turn"])
    if turn is None:
        raise Refusal(404, "this turn is no longer open; say it again.", "turn")
    return JSONResponse(turn_record(turn))


async def lesson(house: House, request: Request) -> Response:
    """One lesson, once, however often it is asked for."""
    house.require_writer()
    wanted = await read_object(request)
    number = field(wanted, "turn", int)
    picked = field(wanted, "pick", int, None)
    typed = field(wanted, "teach", str, None)
    spread = field(wanted, "spread", bool, False)
    if (picked is None) == (typed is None):
        raise Refusal(400, "a lesson is one of pick or teach; give one of them.", "bad_input")

    def work(session: Session, job: Job) -> dict[str, Any]:
        del job
        turn = house.turns.get(number)
        if turn is None:
            return _taught_before(session, number)
        if picked is not None:
            given = turn.pick(picked)
        else:
            given = turn.teach(plain(typed or ""), spread=spread)
        line = lesson_line(given, session.held_out_change())
        house.turns.pop(number, None)
        house.board.notice("lesson", line, event=given.event, say=turn.question.say[:80])
        return {"line": line, "event_id": given.event, "again": False, **lesson_record(given)}

    job = house.start(request, "lesson", "a lesson", work, body=await request.body())
    return JSONResponse(await result(job))


def _taught_before(session: Session, turn: int) -> dict[str, Any]:
    """The lesson that this turn became already; a page may ask again after a lost answer."""
    for event in effective_events(session.life.journal, after=turn, kinds=("lesson",)):
        if event.data.get("turn") == turn:
            given = {name: event.data[name] for name in ("say", "answer", "kind")}
            return {"line": "", "event_id": event.id, "again": True, **given}
    raise ValueError("this turn is no longer open; say it again.")


async def warning(house: House, request: Request) -> Response:
    """What its owner should know before a typed answer is taught; null when there is nothing."""
    wanted = await read_object(request)
    number, typed = field(wanted, "turn", int), plain(field(wanted, "teach", str))

    def work(session: Session, job: Job) -> dict[str, Any]:
        del job
        turn = house.turns.get(number)
        if turn is None or not typed.strip():
            return {"warning": None}
        return {"warning": surprise_warning(session.surprise(turn, typed.strip()))}

    return JSONResponse(await result(house.start(request, "warning", "a look ahead", work)))


async def sleep(house: House, request: Request) -> Response:
    """Old lessons are rehearsed, once."""
    house.require_writer()
    updates = field(await read_object(request), "updates", int, None)

    def work(session: Session, job: Job) -> dict[str, Any]:
        del job
        slept = session.sleep(updates)
        line = (
            f"{slept.updates} updates of rehearsal, {slept.known} of the last {slept.rehearsed} "
            f"lessons known, {slept.seconds:.1f} s"
        )
        house.board.notice("sleep", line, event=slept.event)
        return {"line": line, **slept._asdict()}

    job = house.start(request, "sleep", "a sleep", work, body=await request.body())
    return JSONResponse(await result(job))


async def skip(house: House, request: Request) -> Response:
    """None of the replies was right: the turn is closed without a lesson."""
    house.origin(request)
    house.turns.pop(field(await read_object(request), "turn", int), None)
    return JSONResponse({})


async def learning(house: House, request: Request) -> Response:
    """Whether picks and typed answers teach from now on."""
    on = field(await read_object(request), "on", bool)

    def work(session: Session, job: Job) -> dict[str, Any]:
        del job
        session.learn_from_now(on)
        return {"learning": on}

    return JSONResponse(await result(house.start(request, "learning", "learning on or off", work)))


def undo_plan_record(plan: UndoPlan) -> dict[str, Any]:
    """What an undo would do, for the page to ask about."""
    return {
        "events": list(plan.events),
        "asked": list(plan.asked),
        "also": [{"id": event.id, "kind": event.kind} for event in plan.also],
        "replayed": plan.replayed,
        "seconds": plan.seconds,
        "sentence": undo_sentence(plan),
    }


async def plan_undo(house: House, request: Request) -> Response:
    """What an undo would take back and cost; nothing is done."""
    house.origin(request)
    wanted = await read_object(request)
    return JSONResponse(undo_plan_record(_plan(house.session, wanted)))


async def undo(house: House, request: Request) -> Response:
    """Events are taken back, once; more than was named only when the page agreed to just that."""
    house.require_writer()
    wanted = await read_object(request)
    agreed = set(field(wanted, "also", list, []))

    def work(session: Session, job: Job) -> dict[str, Any]:
        plan = _plan(session, wanted)
        require_agreed(plan, {event.id for event in plan.also} <= agreed, "agree to that")

        def watch(replayed: Any) -> None:
            job.progress = {"done": replayed.seconds, "of": replayed.of_seconds}
            house.board.changed()

        record = undo_record(session, plan, watch)
        if any(session.life.journal.event(id).kind in ("open", "read") for id in plan.events):
            house.learner.stop()
        house.turns.clear()
        line = f"took back {len(plan.asked)} in {record['seconds']:.1f} s"
        house.board.notice("undo", line, event=record["id"])
        return record

    job = house.start(request, "undo", "an undo", work, body=await request.body())
    return JSONResponse(await result(job))


def _plan(session: Session, wanted: dict[str, Any]) -> UndoPlan:
    if field(wanted, "redo", bool, False):
        return session.plan_redo()
    event = field(wanted, "event", int, None)
    lessons = field(wanted, "lessons", int, None)
    if event is None and lessons is None:
        lessons = 1
    return session.plan_undo(lessons=lessons, event=event)


async def context(house: House, request: Request) -> Response:
    """The text of the context file, and its fingerprint for a later edit."""

    def work(session: Session, job: Job) -> dict[str, Any]:
        del job
        text = format_context(session.context())
        return {"text": text, "sha256": _fingerprint(text)}

    return JSONResponse(await result(house.start(request, "context", "the context file", work)))


async def edit_context(house: House, request: Request) -> Response:
    """The context file holds the given text, unless it has changed since the page read it."""
    house.require_writer()
    wanted = await read_object(request)
    text = plain(field(wanted, "text", str))
    read = field(wanted, "sha256", str)

    def work(session: Session, job: Job) -> dict[str, Any]:
        del job
        if _fingerprint(format_context(session.context())) != read:
            raise Refusal(409, "the context has changed meanwhile; look at it again.", "changed")
        if text.strip():
            session.edit_context(text)
        else:
            session.forget_context()
        return {"text": format_context(session.context())}

    return JSONResponse(await result(house.start(request, "context", "the context file", work)))


def _fingerprint(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
