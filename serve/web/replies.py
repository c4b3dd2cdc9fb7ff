"""How the server answers: JSON, one shape of error for all, and streams of events."""

import json
import unicodedata
from collections.abc import AsyncIterator
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_DEEPEST = 32
# What the journal can look for.
_LARGEST = 2**63

Kind = type | tuple[type, ...]


class Refusal(HTTPException):
    """A request that is refused with a sentence, a code for programs, and the field at fault."""

    def __init__(self, status: int, sentence: str, code: str = "", param: str | None = None):
        super().__init__(status, sentence)
        self.code = code
        self.param = param


def error_body(
    status: int, sentence: str, code: str | None, param: str | None = None
) -> dict[str, Any]:
    """The error as OpenAI's clients read it."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": sentence, "type": kind, "param": param, "code": code or None}}


def error_response(
    status: int, sentence: str, code: str | None = None, param: str | None = None
) -> Response:
    """The error as a response; clients that are told to wait are told how long."""
    headers = {"Retry-After": "1"} if status in (429, 503) else None
    return JSONResponse(error_body(status, sentence, code, param), status, headers)


async def on_refusal(request: Request, error: Exception) -> Response:
    """The response to an `HTTPException`."""
    del request
    assert isinstance(error, HTTPException)
    code = getattr(error, "code", None)
    return error_response(error.status_code, error.detail, code, getattr(error, "param", None))


async def on_bad_input(request: Request, error: Exception) -> Response:
    """The response to a `ValueError`: its sentence."""
    del request
    return error_response(400, str(error), "bad_input")


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object of a request's body.

    Raises:
      Refusal: not JSON, not an object, nested too deeply, or a number that JSON does not have.
    """
    body = await request.body()
    try:
        value = json.loads(body or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "the body is no JSON; correct it.", "json") from error
    if not isinstance(value, dict) or _depth(value) > _DEEPEST:
        raise Refusal(400, "the body must be one plain JSON object; correct it.", "json")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"JSON has no {name}")


def _depth(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inner), default=0)


def field(value: dict[str, Any], name: str, kind: Kind, default: Any = ...) -> Any:
    """The field, of that type; refused when it is missing without default, or of another."""
    found = value.get(name, default)
    if found is ... or (found is not default and not _is(found, kind)):
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise Refusal(400, f"{name} must be {names}; correct the request.", "bad_input", name)
    return found


def _is(value: Any, kind: Kind) -> bool:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int) and abs(value) >= _LARGEST:
        return False
    return isinstance(value, kinds) or (float in kinds and isinstance(value, int))


def plain(text: str) -> str:
    """The text without control characters and lone surrogates; lines end with LF."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        char for char in text if char in "\n\t" or unicodedata.category(char) not in ("Cc", "Cs")
    )


def event_stream(parts: AsyncIterator[bytes]) -> Response:
    """A response of server-sent events."""
    headers = {"X-Accel-Buffering": "no"}
    return StreamingResponse(parts, media_type="text/event-stream", headers=headers)


def sse(data: Any, event: str | None = None) -> bytes:
    """One server-sent event."""
    name = f"event: {event}\n" if event else ""
    text = data if isinstance(data, str) else json.dumps(data, allow_nan=False)
    return f"{name}data: {text}\n\n".encode()
