"""Conversations as token ids (ChatML) and as the plain-text context file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from model.tokenizer import Tokenizer

Role = Literal["user", "assistant"]

_TURN = re.compile(r"(user|assistant):(?: |\Z)")
_ESCAPED_TURN = re.compile(r" +(?:user|assistant):(?: |\Z)")
_LIKE_TURN = re.compile(r" *(?:user|assistant):(?: |\Z)")


@dataclass(frozen=True)
class Message:
    """One turn of a conversation."""

    role: Role
    text: str


def _message_ids(tokenizer: Tokenizer, message: Message) -> tuple[list[int], list[float]]:
    """Returns one turn's ids and weights; parts are encoded apart so that turns never merge."""
    head = [tokenizer.turn_start, *tokenizer.encode(f"{message.role}\n")]
    body = encode_answer(tokenizer, message.text)
    tail = tokenizer.encode("\n")
    learned = 1.0 if message.role == "assistant" else 0.0
    weights = [0.0] * len(head) + [learned] * len(body) + [0.0] * len(tail)
    return head + body + tail, weights


def encode_chat(tokenizer: Tokenizer, messages: Sequence[Message]) -> tuple[list[int], list[float]]:
    """Returns the ids of the conversation and, for each id, its weight as a target.

    The document mark comes first, then each turn as ChatML. Weight 1.0 is on the assistant's
    words and its turn-end mark, 0.0 on everything else.
    """
    ids = [tokenizer.document]
    weights = [0.0]
    for message in messages:
        more_ids, more_weights = _message_ids(tokenizer, message)
        ids += more_ids
        weights += more_weights
    return ids, weights


def encode_prompt(tokenizer: Tokenizer, messages: Sequence[Message], limit: int) -> list[int]:
    """Returns at most `limit` ids after which the assistant's answer begins.

    Whole messages are left out from the front until the rest fits. What follows is
    `encode_answer`; both joined are the ids of `encode_chat` up to its last newline.

    Raises:
      ValueError: the last message alone is longer than `limit`; gives both lengths.
    """
    opening = [tokenizer.turn_start, *tokenizer.encode("assistant\n")]
    kept = fitting_messages(tokenizer, messages, limit - 1 - len(opening))
    if messages and not kept:
        length = 1 + len(_message_ids(tokenizer, messages[-1])[0]) + len(opening)
        raise ValueError(
            f"the last message makes a prompt of {length} tokens, want at most {limit}; shorten it."
        )
    ids = [id_ for message in kept for id_ in _message_ids(tokenizer, message)[0]]
    return [tokenizer.document, *ids, *opening]


def fitting_messages(
    tokenizer: Tokenizer, messages: Sequence[Message], limit: int
) -> Sequence[Message]:
    """Returns the last messages, whole ones, that have at most `limit` ids together."""
    length = 0
    for number, message in enumerate(reversed(messages)):
        length += len(_message_ids(tokenizer, message)[0])
        if length > limit:
            return messages[len(messages) - number :]
    return messages


def encode_answer(tokenizer: Tokenizer, text: str) -> list[int]:
    """Returns the ids that the assistant has to produce: the text and the turn-end mark."""
    return [*tokenizer.encode(text), tokenizer.turn_end]


def format_context(messages: Sequence[Message]) -> str:
    """Returns the conversation as plain text, each turn begun by `user: ` or `assistant: `.

    A line within a message that looks like such a beginning is indented by one blank;
    `parse_context` takes it away again.
    """
    return "".join(f"{message.role}: {_escape(message.text)}\n" for message in messages)


def _escape(text: str) -> str:
    first, *rest = text.split("\n")
    return "\n".join([first, *(f" {line}" if _LIKE_TURN.match(line) else line for line in rest)])


def parse_context(text: str) -> list[Message]:
    """Returns the turns of a context file, each text stripped of blanks around it.

    Raises:
      ValueError: words stand before the first turn; names the line.
    """
    turns: list[tuple[Role, list[str]]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if found := _TURN.match(line):
            role: Role = "user" if found[1] == "user" else "assistant"
            turns.append((role, [line[found.end() :]]))
        elif turns:
            turns[-1][1].append(line[1:] if _ESCAPED_TURN.match(line) else line)
        elif line.strip():
            raise ValueError(
                f"line {number} of the context is {line[:40]!r}, want a line that begins with "
                "'user: ' or 'assistant: '; put one of them in front of it."
            )
    return [Message(role, "\n".join(lines).strip()) for role, lines in turns]
