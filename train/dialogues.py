"""Conversations out of text files marked `A:` and `B:` and out of JSON lines."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from model.chat import Message, Role

Conversation = tuple[Message, ...]

_SPEAKER = re.compile(r"([AB]):(?: |\Z)")
_ROLES: dict[str, Role] = {
    "A": "user",
    "B": "assistant",
    "user": "user",
    "system": "user",
    "assistant": "assistant",
}
_WANTED_LINE = "want an object with 'messages' or with 'instruction' and 'output'"


def is_dialogue(text: str) -> bool:
    """Returns whether more than half of the lines with words begin with `A:` or `B:`, both used."""
    lines = [line for line in text.split("\n") if line.strip()]
    speakers = [found[1] for line in lines if (found := _SPEAKER.match(line))]
    return 2 * len(speakers) > len(lines) and {"A", "B"} == set(speakers)


def parse_dialogue(text: str) -> list[Conversation]:
    """Returns the conversations in which B says something; A is the user, B the assistant.

    A conversation begins at an `A:` line after a blank line. A line without a speaker goes on
    with the turn before it; such lines before the first speaker are left out.
    """
    conversations: list[list[tuple[str, str]]] = []
    after_blank = True
    for line in text.split("\n"):
        found = _SPEAKER.match(line)
        if found and (not conversations or (after_blank and found[1] == "A")):
            conversations.append([])
        if found:
            conversations[-1].append((found[1], line[found.end() :]))
        elif conversations:
            speaker, said = conversations[-1][-1]
            conversations[-1][-1] = (speaker, f"{said}\n{line}")
        after_blank = not line.strip()
    return _answered(map(_conversation, conversations))


def parse_json_lines(text: str) -> list[Conversation]:
    """Returns the conversations of all lines in which the assistant says something.

    A line has `messages` with `role` (system counts as user) and `content`, or `instruction`
    and `output` with or without `input`, or `instruction` and `instances` of input and output.

    Raises:
      ValueError: a line is something else; names its number.
    """
    conversations: list[Conversation] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            conversations += map(_conversation, _turns_of(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(
                f"line {number} is {line[:40]!r}, {_WANTED_LINE}; correct or remove it."
            ) from error
    return _answered(conversations)


def _turns_of(record: dict[str, Any]) -> list[list[tuple[str, str]]]:
    """Returns (role, text) pairs for each conversation of one JSON line."""
    if "messages" in record:
        return [[(turn["role"], turn["content"]) for turn in record["messages"]]]
    task = record["instruction"].strip()
    conversations = []
    for instance in record.get("instances", [record]):
        question = f"{task}\n\n{instance.get('input') or ''}"
        conversations.append([("user", question), ("assistant", instance["output"])])
    return conversations


def _conversation(turns: Iterable[tuple[str, str]]) -> Conversation:
    """Returns the turns as messages; turns of one speaker in a row become one message."""
    messages: list[Message] = []
    for speaker, said in turns:
        role, text = _ROLES[speaker], said.strip()
        if messages and messages[-1].role == role:
            text = f"{messages.pop().text}\n{text}".strip()
        messages.append(Message(role, text))
    return tuple(messages)


def _answered(conversations: Iterable[Sequence[Message]]) -> list[Conversation]:
    return [
        tuple(messages)
        for messages in conversations
        if any(message.role == "assistant" and message.text for message in messages)
    ]
