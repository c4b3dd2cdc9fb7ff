"""The conversation that prompts were made of, as the journal's lessons give it.

A lesson's words are in the prompts of the lessons after it. When it is taken back, those prompts
are made anew without it, so that nothing of it stays in the weights.
"""

import functools
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from model.chat import Message, encode_chat, encode_prompt, format_context, parse_context
from model.tokenizer import Tokenizer
from train.effective import NEXT, UNDO, taken_back, undone_events
from train.journal import Journal
from train.life import Life
from train.records import Event

FORGET = "forget"


def spoken(say: str, answer: str) -> list[Message]:
    """An exchange as the context file gives it back."""
    texts = [text.replace("\r\n", "\n").replace("\r", "\n") for text in (say, answer)]
    user, assistant = texts
    said = [Message("user", user), Message("assistant", assistant)]
    return parse_context(format_context(said))


class Talk:
    """The talk of one journal, read once; tells the context of any turn under any set of undos."""

    def __init__(self, journal: Journal, tokenizer: Tokenizer) -> None:
        self._events = {e.id: e for e in journal.events(kinds=("lesson", FORGET))}
        self._index = [
            row for row in journal.index() if row[1] == "replies" or row[0] in self._events
        ]
        self._length = functools.cache(lambda m: len(encode_chat(tokenizer, [m])[0]) - 1)

    def contexts(
        self, gone: Collection[int], until: int | None = None
    ) -> tuple[dict[int, tuple[Message, ...]], tuple[Message, ...]]:
        """{turn: the messages before it}, and the messages after event `until` (the last)."""
        before: dict[int, tuple[Message, ...]] = {}
        kept: list[Message] = []
        for id, kind in self._index:
            if until is not None and id > until:
                break
            if id in gone:
                continue
            if kind == "replies":
                before[id] = tuple(kept)
            elif kind == FORGET:
                kept = []
            elif "turn" in (data := self._events[id].data):
                kept = self._fit([*kept, *spoken(data["say"], data["answer"])], data["context"])
        return before, tuple(kept)

    def said_in(self, ids: Iterable[int]) -> list[list[Message]]:
        """The exchanges of those of the events that are lessons."""
        lessons = [self._events[id].data for id in ids if id in self._events]
        return [spoken(data["say"], data["answer"]) for data in lessons if "turn" in data]

    def _fit(self, messages: list[Message], room: int) -> list[Message]:
        length = sum(map(self._length, messages))
        while length > room:
            length -= self._length(messages.pop(0))
        return messages


def with_present_prompts(
    life: Life, events: Sequence[Event], without: Collection[int] = frozenset()
) -> list[Event]:
    """The events, each lesson with the prompt that it has without the lessons taken back.

    A prompt is made anew from the lessons before it. Where the owner had edited the context file,
    the words of undone lessons are cut out of the recorded prompt instead.
    """
    undos = [(e.id, e.data["events"]) for e in life.journal.events(kinds=(UNDO,))]
    undos += [(NEXT, list(without))] if without else []
    if not undos:
        return list(events)
    talk = Talk(life.journal, life.tokenizer)
    gone = taken_back(undos)
    now, _ = talk.contexts(gone)
    found = {event.id: event for event in events}
    starts = [0, *(id for id, _ in undos)]
    for start, stop in zip(starts, [*starts[1:], None], strict=True):
        gone_then = taken_back(undo for undo in undos if undo[0] <= start)
        then, _ = talk.contexts(gone_then, stop)
        for event in events:
            turn = event.data.get("turn") if event.kind == "lesson" else None
            if turn is None or not start < event.id or (stop is not None and event.id > stop):
                continue
            if then[turn] != now[turn]:
                lost = talk.said_in(sorted(id for id in gone - gone_then if id < turn))
                prompt = _prompt(life.tokenizer, event.data, then[turn], now[turn], lost)
                found[event.id] = Event(
                    event.id, event.time, event.kind, {**event.data, "prompt": prompt}
                )
    return list(found.values())


def context_after_undo(
    life: Life, messages: Sequence[Message], gone: frozenset[int]
) -> list[Message]:
    """What the context file should hold instead of `messages` once the ids `gone` are taken back.

    A file that the owner has not edited becomes that of a life without the undone lessons; out of
    an edited one the words of these lessons are taken.
    """
    talk = Talk(life.journal, life.tokenizer)
    gone_before = undone_events(life.journal)
    _, expected = talk.contexts(gone_before)
    if list(expected) == list(messages):
        return list(talk.contexts(gone)[1])
    kept = list(messages)
    for said in talk.said_in(sorted(gone - gone_before)):
        kept = _without(kept, said, said[1:], 0)
    return kept


def _without[T](items: list[T], whole: list[T], tail: list[T], start: int) -> list[T]:
    """The items without the last `whole`; or without its `tail` where the rest was cut off."""
    places = [n for n in range(start, len(items)) if items[n : n + len(whole)] == whole]
    if places:
        return [*items[: places[-1]], *items[places[-1] + len(whole) :]]
    if items[start : start + len(tail)] == tail:
        return [*items[:start], *items[start + len(tail) :]]
    return items


def _prompt(
    tokenizer: Tokenizer,
    data: dict[str, Any],
    then: Sequence[Message],
    now: Sequence[Message],
    lost: list[list[Message]],
) -> list[int]:
    question = Message("user", data["say"])
    if encode_prompt(tokenizer, [*then, question], data["room"]) == data["prompt"]:
        return encode_prompt(tokenizer, [*now, question], data["room"])
    prompt = list(data["prompt"])
    for said in lost:
        whole, tail = (encode_chat(tokenizer, part)[0][1:] for part in (said, said[1:]))
        prompt = _without(prompt, whole, tail, 1)
    return prompt
