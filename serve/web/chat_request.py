"""A chat request as OpenAI's clients send it, checked field by field."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from model.chat import Message, Role, encode_prompt
from model.config import ModelConfig
from model.tokenizer import Tokenizer
from serve.decode import Drawing
from serve.sample import SamplingConfig
from serve.web.replies import Refusal, field, plain

MODEL = "apprentice"
MOST_MESSAGES = 500
MOST_STOPS = 4
MOST_BEST = 20
MOST_BIASES = 1024
# What would change the answer's meaning if it were passed over in silence.
_REFUSED = ("tools", "functions", "tool_choice", "function_call", "audio", "prediction")
_SPOKEN_AS: dict[str, Role] = {"user": "user", "assistant": "assistant"}


class ChatRequest(NamedTuple):
    """What to draw, how often, and how to tell it."""

    prompt: list[int]
    drawing: Drawing
    choices: int
    max_tokens: int
    stops: tuple[str, ...]
    seed: int | None
    logprobs: bool
    best: int
    stream: bool
    include_usage: bool


def parse_chat(
    given: dict[str, Any], tokenizer: Tokenizer, config: ModelConfig, sampling: SamplingConfig
) -> ChatRequest:
    """The request; fields that are not ours are passed over.

    Raises:
      Refusal: names the field that is missing, of a wrong type, out of range or not supported.
    """
    given = {name: value for name, value in given.items() if value is not None}
    _require_supported(given)
    name = field(given, "model", str)
    if name != MODEL:
        sentence = f"there is no model {plain(name)[:60]!r}, want {MODEL!r}."
        raise Refusal(404, sentence, "model_not_found", "model")
    limit = _number(given, "max_tokens", 1, 2**31, sampling.max_new_tokens, int)
    max_tokens = int(_number(given, "max_completion_tokens", 1, 2**31, limit, int))
    room = config.context - min(max_tokens, config.context // 2)
    options = field(given, "stream_options", dict, {})
    return ChatRequest(
        prompt=_prompt(tokenizer, _messages(given), room),
        drawing=_drawing(given, len(tokenizer.n_bytes_V), sampling),
        choices=int(_number(given, "n", 1, sampling.replies, 1, int)),
        max_tokens=max_tokens,
        stops=_stops(given),
        seed=field(given, "seed", int, None),
        logprobs=field(given, "logprobs", bool, False),
        best=_best(given),
        stream=field(given, "stream", bool, False),
        include_usage=field(options, "include_usage", bool, False),
    )


def _require_supported(given: dict[str, Any]) -> None:
    wanted = [name for name in _REFUSED if given.get(name) not in ([], "none")]
    for name in (name for name in wanted if name in given):
        raise Refusal(400, f"this model has no {name}; leave it out.", "unsupported", name)
    if field(given, "response_format", dict, {}).get("type", "text") != "text":
        raise Refusal(400, "this model answers in text alone.", "unsupported", "response_format")
    if field(given, "modalities", list, ["text"]) != ["text"]:
        raise Refusal(400, "this model answers in text alone.", "unsupported", "modalities")


def _number(
    given: dict[str, Any], name: str, low: float, high: float, default: float, kind: type = float
) -> float:
    value = field(given, name, kind, default)
    if not low <= value <= high:
        sentence = f"{name} must be {low:g} to {high:g}, got {str(value)[:20]}."
        raise Refusal(400, sentence, "out_of_range", name)
    return value


def _messages(given: dict[str, Any]) -> list[Message]:
    """The conversation in the two roles that the model knows.

    What a system or developer message says goes before the next words of the user.
    """
    found = field(given, "messages", list)
    if not 1 <= len(found) <= MOST_MESSAGES:
        raise Refusal(400, f"want 1 to {MOST_MESSAGES} messages.", "bad_input", "messages")
    messages: list[Message] = []
    instructions: list[str] = []
    for message in found:
        if not isinstance(message, dict):
            raise Refusal(400, "a message is an object; correct it.", "bad_input", "messages")
        role, text = field(message, "role", str), _text(message.get("content"))
        if role in ("system", "developer"):
            instructions.append(text)
        elif role in _SPOKEN_AS:
            before = [*instructions, text] if role == "user" else [text]
            instructions = [] if role == "user" else instructions
            messages.append(Message(_SPOKEN_AS[role], "\n\n".join(before)))
        else:
            raise Refusal(400, f"there is no role {plain(role)[:40]!r}.", "bad_input", "messages")
    if instructions:
        messages.append(Message("user", "\n\n".join(instructions)))
    if messages[-1].role != "user":
        raise Refusal(400, "the last message must be the user's.", "bad_input", "messages")
    return messages


def _text(content: Any) -> str:
    parts = content if isinstance(content, list) else [content]
    texts = []
    for part in parts:
        text = part
        if isinstance(part, dict):
            if part.get("type") != "text":
                raise Refusal(400, "this model reads text alone.", "unsupported", "messages")
            text = part.get("text")
        if not isinstance(text, str):
            raise Refusal(400, "a message's content is text.", "bad_input", "messages")
        texts.append(plain(text))
    return "".join(texts)


def _prompt(tokenizer: Tokenizer, messages: list[Message], room: int) -> list[int]:
    try:
        return encode_prompt(tokenizer, messages, room)
    except ValueError as error:
        raise Refusal(400, str(error), "context_length_exceeded", "messages") from error


def _drawing(given: dict[str, Any], n_tokens: int, sampling: SamplingConfig) -> Drawing:
    biases = field(given, "logit_bias", dict, {})
    if len(biases) > MOST_BIASES:
        raise Refusal(400, f"want at most {MOST_BIASES} biases.", "out_of_range", "logit_bias")
    bias_V = np.zeros(n_tokens, np.float32)
    for token, _ in biases.items():
        if not (token.isdecimal() and len(token) < 10 and int(token) < n_tokens):
            raise Refusal(400, f"there is no token {token[:20]!r}.", "out_of_range", "logit_bias")
        bias_V[int(token)] = _number(biases, token, -100, 100, 0)
    once = np.float32(_number(given, "presence_penalty", -2, 2, 0))
    every_time = np.float32(_number(given, "frequency_penalty", -2, 2, 0))
    least = np.nextafter(np.float32(0), np.float32(1))
    return Drawing(
        np.float32(_number(given, "temperature", 0, 2, sampling.temperature)),
        max(np.float32(_number(given, "top_p", 0, 1, sampling.top_p)), least),
        jnp.asarray(bias_V) if biases else None,
        (once, every_time) if once or every_time else None,
    )


def _stops(given: dict[str, Any]) -> tuple[str, ...]:
    stop = field(given, "stop", (str, list), [])
    stops = [stop] if isinstance(stop, str) else stop
    if len(stops) > MOST_STOPS or not all(isinstance(s, str) and 0 < len(s) <= 200 for s in stops):
        raise Refusal(400, f"want at most {MOST_STOPS} texts to stop at.", "bad_input", "stop")
    return tuple(stops)


def _best(given: dict[str, Any]) -> int:
    best = int(_number(given, "top_logprobs", 0, MOST_BEST, 0, int))
    if best and given.get("logprobs") is not True:
        sentence = "top_logprobs needs logprobs; ask for both."
        raise Refusal(400, sentence, "bad_input", "top_logprobs")
    return best
