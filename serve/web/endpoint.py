"""OpenAI's chat completions, read-only: it never teaches and never enters the history."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import jax
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from serve.decode import decode
from serve.session import Session
from serve.web.chat_request import MODEL, MOST_BEST, ChatRequest, parse_chat
from serve.web.choice import Choice
from serve.web.house import House, result
from serve.web.learner import Job
from serve.web.replies import Refusal, error_body, event_stream, read_object, sse
from train.effective import prefix_digests

# Drawing for other programs takes no longer than this.
MOST_SECONDS = 60.0
_KEEP_ALIVE_SECONDS = 10.0


async def models(house: House, request: Request) -> Response:
    """The one model there is."""
    _require_key(house, request)
    return JSONResponse({"object": "list", "data": [_model(house)]})


async def model(house: House, request: Request) -> Response:
    """The model of that name."""
    _require_key(house, request)
    if request.path_params["name"] != MODEL:
        raise Refusal(404, f"there is no such model, want {MODEL!r}.", "model_not_found", "model")
    return JSONResponse(_model(house))


def _model(house: House) -> dict[str, Any]:
    created = house.session.life.workdir.stat().st_ctime
    return {"id": MODEL, "object": "model", "created": int(created), "owned_by": "you"}


def _require_key(house: House, request: Request) -> None:
    """Nothing; on this machine any key will do, beyond it the token of scripts is the key."""
    if house.door.listen is not None:
        house.origin(request)


async def completions(house: House, request: Request) -> Response:
    """An answer, whole or as it comes."""
    _require_key(house, request)
    session = house.session
    wanted = await read_object(request)
    chat = parse_chat(
        wanted, session.life.tokenizer, session.present.config.model, session.sampling
    )

    def work(session: Session, job: Job) -> dict[str, Any]:
        return _draw(session, job, chat)

    job = Job("endpoint", "another program asks", work, "endpoint", False)
    head = {"id": f"chatcmpl-{secrets.token_hex(12)}", "created": int(time.time()), "model": MODEL}
    if chat.stream:
        parts = job.parts()
        house.submit(job)
        return event_stream(_chunks(job, parts, chat, head))
    house.submit(job)
    try:
        drawn = await result(job)
    finally:
        job.stop()
    return JSONResponse(_completion(drawn, chat, head))


def _draw(session: Session, job: Job, chat: ChatRequest) -> dict[str, Any]:
    """All choices, told part by part; nothing is journaled."""
    tokenizer, config = session.life.tokenizer, session.state.config
    fingerprint = prefix_digests(session.life.journal, [session.state.event])
    job.tell({"fingerprint": f"fp_{fingerprint[session.state.event][:12]}"})
    choices = [Choice(index, chat, tokenizer) for index in range(chat.choices)]
    seed = secrets.randbits(63) if chat.seed is None else chat.seed % 2**63
    deadline = time.monotonic() + MOST_SECONDS
    for drawn in decode(
        session.weights(),
        chat.prompt,
        jax.random.key(seed),
        tokenizer,
        config.model,
        config.dtype,
        # One compiled function for one choice and one for more.
        candidates=1 if chat.choices == 1 else session.sampling.replies,
        steps=chat.max_tokens,
        drawing=chat.drawing,
        best=MOST_BEST if chat.best else 0,
    ):
        job.tell([(choice.index, *choice.take(drawn), choice.finish) for choice in choices])
        late = job.stopped() or time.monotonic() > deadline
        if late or all(choice.finish for choice in choices):
            break
    job.tell([(c.index, c.close(), [], c.finish) for c in choices if c.finish is None])
    prompt, answer = len(chat.prompt), sum(choice.tokens for choice in choices)
    usage = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
    return {
        "choices": choices,
        "usage": usage,
        "fingerprint": f"fp_{fingerprint[session.state.event][:12]}",
    }


def _completion(drawn: dict[str, Any], chat: ChatRequest, head: dict[str, Any]) -> dict[str, Any]:
    choices = [
        {
            "index": choice.index,
            "message": {"role": "assistant", "content": choice.text, "refusal": None},
            "logprobs": {"content": choice.logprobs, "refusal": None} if chat.logprobs else None,
            "finish_reason": choice.finish,
        }
        for choice in drawn["choices"]
    ]
    return {
        **head,
        "object": "chat.completion",
        "system_fingerprint": drawn["fingerprint"],
        "choices": choices,
        "usage": drawn["usage"],
    }


async def _chunks(
    job: Job, parts: asyncio.Queue[Any], chat: ChatRequest, head: dict[str, Any]
) -> AsyncIterator[bytes]:
    """The answer as server-sent events; an error that comes late is an event too."""
    head |= {"object": "chat.completion.chunk"}
    unsaid = {"usage": None} if chat.include_usage else {}
    finished: set[int] = set()
    try:
        while (part := await _next(parts)) is not None:
            if part is _NOTHING:
                yield b": keep-alive\n\n"
            elif isinstance(part, dict):
                head["system_fingerprint"] = part["fingerprint"]
                for index in range(chat.choices):
                    role = {"role": "assistant", "content": ""}
                    yield sse(head | {"choices": [_piece(index, role, chat)]} | unsaid)
            else:
                for index, text, logprobs, finish in part:
                    if index in finished:
                        continue
                    if text or logprobs:
                        piece = _piece(index, {"content": text}, chat, logprobs)
                        yield sse(head | {"choices": [piece]} | unsaid)
                    if finish:
                        finished.add(index)
                        piece = _piece(index, {}, chat) | {"finish_reason": finish}
                        yield sse(head | {"choices": [piece]} | unsaid)
        try:
            drawn = await result(job)
        except (ValueError, Refusal) as error:
            yield sse(error_body(503, getattr(error, "detail", str(error)), "busy"))
            return
        if chat.include_usage:
            yield sse(head | {"choices": [], "usage": drawn["usage"]})
        yield sse("[DONE]")
    finally:
        # A client that went away wants nothing more.
        job.stop()


def _piece(
    index: int, delta: dict[str, Any], chat: ChatRequest, logprobs: list[Any] | None = None
) -> dict[str, Any]:
    told = {"content": logprobs, "refusal": None} if chat.logprobs and logprobs else None
    return {"index": index, "delta": delta, "logprobs": told, "finish_reason": None}


_NOTHING = object()


async def _next(parts: asyncio.Queue[Any]) -> Any:
    try:
        return await asyncio.wait_for(parts.get(), _KEEP_ALIVE_SECONDS)
    except TimeoutError:
        return _NOTHING
