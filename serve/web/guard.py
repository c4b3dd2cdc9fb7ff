"""What every request has to pass before anything looks at it; nothing here knows the model."""

import asyncio
import ipaddress
from collections import Counter
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.web.replies import error_response

BODY_BYTES = 2**20
UPLOAD_BYTES = 64 * 2**20
BODY_SECONDS = 30.0
UPLOAD_PATH = "/api/books"
LOCAL = ("127.0.0.1", "localhost", "[::1]")
# What a browser may load and do with our page; model text is never more than text.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Door(NamedTuple):
    """Where the server listens; `listen` is an address beyond this machine, if any."""

    port: int
    listen: str | None = None

    def knows(self, host: str) -> bool:
        """Whether a Host header names this server.

        A page elsewhere can point a name of its own at us, but no address (DNS rebinding). So any
        address will do where others may come in, and no name but those of this machine.
        """
        name, _, port = host.rpartition(":")
        if port != str(self.port):
            return False
        if name in LOCAL:
            return True
        return self.listen is not None and _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class Guard:
    """ASGI middleware: refuses what no client of ours would send, and sets our headers."""

    def __init__(self, app: ASGIApp, door: Door, refused: Counter[str]) -> None:
        self._app = app
        self._door = door
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # No lifespan and no WebSocket: neither has anything to do here.
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_RAW_HEADERS]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_with_headers)
            return
        limit = _body_limit(scope)
        await self._app(scope, _limited(receive, limit), send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        found = complaint(scope, self._door)
        if found is None:
            return None
        status, code, sentence = found
        self._refused[code] += 1
        return error_response(status, sentence, code)


def complaint(scope: Scope, door: Door) -> tuple[int, str, str] | None:
    """Status, code and sentence of what is wrong with a request's head; None when nothing is."""
    pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    headers = dict(pairs)
    if sum(name == "host" for name, _ in pairs) != 1 or not door.knows(headers["host"]):
        return 421, "host", "this server answers only to its own address; open the printed one."
    own = f"http://{headers['host']}"
    if headers.get("origin", own) != own:
        return 403, "origin", "a page of another origin may not call this server."
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not _visit(
        scope, headers
    ):
        return 403, "site", "a page of another site may not call this server."
    if scope["method"] == "POST":
        return _post_complaint(scope, headers)
    if scope["method"] not in ("GET", "HEAD"):
        return 405, "method", f"want GET or POST, got {scope['method'][:20]!r}."
    return None


def _visit(scope: Scope, headers: dict[str, str]) -> bool:
    """Whether someone followed a link to the page itself, which changes nothing."""
    return scope["path"] == "/" and headers.get("sec-fetch-dest") == "document"


def _post_complaint(scope: Scope, headers: dict[str, str]) -> tuple[int, str, str] | None:
    wanted = "application/octet-stream" if scope["path"] == UPLOAD_PATH else "application/json"
    got = headers.get("content-type", "").partition(";")[0].strip().lower()
    if got != wanted:
        return 415, "content_type", f"want Content-Type {wanted}, got {got[:60] or 'none'}."
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > _body_limit(scope):
        return 413, "too_large", f"want at most {_body_limit(scope)} bytes, got {length[:20]}."
    if scope["query_string"]:
        return 400, "query", "what is to be done is told in the body, not in the address."
    return None


def _body_limit(scope: Scope) -> int:
    return UPLOAD_BYTES if scope["path"] == UPLOAD_PATH else BODY_BYTES


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive` that ends with an error once a body is too long or too slow."""
    seen = 0
    complete = False

    async def receive_some() -> Message:
        nonlocal seen, complete
        if complete:
            return await receive()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(408, "the body did not come in time; send it again.") from error
        seen += len(message.get("body", b""))
        complete = not message.get("more_body", False)
        if seen > limit:
            raise HTTPException(413, f"want at most {limit} bytes, got more; send less.")
        return message

    return receive_some


_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
