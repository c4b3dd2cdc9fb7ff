"""The application: which path leads where, behind the guard; the page's files from memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from serve.web import endpoint, growing, talk
from serve.web.guard import Guard
from serve.web.house import House, subscription
from serve.web.life import Timeline
from serve.web.reading import Readings
from serve.web.replies import (
    Refusal,
    event_stream,
    field,
    on_bad_input,
    on_refusal,
    read_object,
    sse,
)

KEEP_ALIVE_SECONDS = 15.0
MOST_PAGES = 16
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".licence": "text/plain; charset=utf-8",
}

Handler = Callable[[House, Request], Awaitable[Response]]


def make_app(house: House, is_ending: Callable[[], bool] = lambda: False) -> Starlette:
    """The application that serves one model folder."""
    readings, timeline = Readings(house), Timeline(house)
    get, post = partial(_route, "GET"), partial(_route, "POST")

    def housed(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            return await handler(house, request)

        return handle

    routes: list[BaseRoute] = [
        *_page(),
        post("/api/enter", housed(_enter)),
        post("/api/address", housed(_address)),
        get("/api/state", housed(_state)),
        get("/api/events", housed(partial(_events, is_ending))),
        post("/api/stop", housed(_stop)),
        post("/api/say", housed(talk.say)),
        get("/api/turn/{turn:int}", housed(talk.open_turn)),
        post("/api/lesson", housed(talk.lesson)),
        post("/api/warning", housed(talk.warning)),
        post("/api/sleep", housed(talk.sleep)),
        post("/api/skip", housed(talk.skip)),
        post("/api/learning", housed(talk.learning)),
        post("/api/undo/plan", housed(talk.plan_undo)),
        post("/api/undo", housed(talk.undo)),
        get("/api/context", housed(talk.context)),
        post("/api/context", housed(talk.edit_context)),
        get("/api/books", readings.known),
        post("/api/books", readings.upload),
        get("/api/books/{number}", readings.documents),
        post("/api/shelf", readings.shelf),
        post("/api/drop", readings.drop),
        post("/api/read", readings.read),
        get("/api/curve", readings.curve),
        post("/api/grow/plan", housed(growing.plan)),
        post("/api/grow", housed(growing.grow)),
        get("/api/life", timeline.events),
        get("/api/life/{event:int}", timeline.event),
        get("/api/charts", timeline.charts),
        post("/api/retention", timeline.retention),
        post("/api/weights", timeline.weights),
        post("/api/why", timeline.why),
        get("/v1/models", housed(endpoint.models)),
        get("/v1/models/{name}", housed(endpoint.model)),
        post("/v1/chat/completions", housed(endpoint.completions)),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, door=house.door, refused=house.refused)],
        exception_handlers={HTTPException: on_refusal, ValueError: on_bad_input},
    )


def _route(method: str, path: str, handler: Any) -> Route:
    return Route(path, handler, methods=[method])


def _page() -> list[Route]:
    """The page's files, read once; there is no other way to a file."""
    folder = resources.files("serve.web") / "page"
    files = {f"/{file.name}": file for file in folder.iterdir() if file.is_file()}
    vendor = folder / "vendor"
    files |= {f"/vendor/{file.name}": file for file in vendor.iterdir() if file.is_file()}
    files["/"] = files.pop("/index.html")
    return [_file(path, file.read_bytes(), file.name) for path, file in files.items()]


def _file(path: str, content: bytes, name: str) -> Route:
    kind = _TYPES[f".{name.rpartition('.')[2]}"]

    async def handle(request: Request) -> Response:
        del request
        return Response(content, media_type=kind)

    return Route(path, handle, methods=["GET"])


async def _enter(house: House, request: Request) -> Response:
    """The token of this page, for a printed one that nobody has used."""
    given = field(await read_object(request), "token", str)
    token = house.tokens.enter(given)
    if token is None:
        house.refused["token"] += 1
        raise Refusal(401, "this address was used already, or is of an earlier start.", "token")
    return JSONResponse({"token": token})


async def _address(house: House, request: Request) -> Response:
    """A fresh address, for one more page."""
    house.origin(request)
    return JSONResponse({"address": house.address()})


async def _state(house: House, request: Request) -> Response:
    """What every page shows of the present."""
    house.origin(request)
    return JSONResponse(house.board.view(house.learner.queue()))


async def _stop(house: House, request: Request) -> Response:
    """The job ends as soon as it can; a lesson that has begun is finished."""
    house.origin(request)
    house.learner.stop(field(await read_object(request), "job", int))
    return JSONResponse({})


async def _events(is_ending: Callable[[], bool], house: House, request: Request) -> Response:
    """The present, again after every change."""
    house.origin(request)
    if house.pages >= MOST_PAGES:
        raise Refusal(503, f"{MOST_PAGES} pages are open already; close one.", "busy")

    async def events() -> AsyncIterator[bytes]:
        house.pages += 1
        try:
            async with subscription(house.board) as changed:
                while not is_ending():
                    changed.clear()
                    yield sse(house.board.view(house.learner.queue()))
                    try:
                        await asyncio.wait_for(changed.wait(), KEEP_ALIVE_SECONDS)
                    except TimeoutError:
                        yield b": keep-alive\n\n"
        finally:
            house.pages -= 1

    return event_stream(events())
