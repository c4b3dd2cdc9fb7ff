"""What a lesson did to everything else, measured on text that is never trained on."""

import functools
import math
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np

from model.chat import Message, encode_answer, encode_prompt
from model.tokenizer import Tokenizer
from train.answers import answer_all
from train.life import Life, LifeState
from train.own_replies import PROMPT_TOKENS
from train.rehearsal import answer_batch, answer_document, pack
from train.schedule import Item
from train.step import batch_losses
from train.windows import Batch
from train.wording import normalized

# Lessons whose answers a report asks for again, at most, and tokens of an answer.
RECALLED, ANSWER_TOKENS = 256, 48
# Lessons since, from which on an age of the retention table begins.
AGES = (0, 10, 50, 200, 1000)


class Probe(NamedTuple):
    """Nats per token of a lesson's answer: after its own prompt, and after unrelated ones."""

    loss: float
    elsewhere: float


class Retention(NamedTuple):
    """How many of the lessons of one age are still answered word for word."""

    since: int
    lessons: int
    known: int


@functools.cache
def guard_prompts() -> tuple[str, ...]:
    """Prompts that are never taught by the program: greetings, small talk, common questions."""
    text = resources.files("train").joinpath("guard_prompts.txt").read_text(encoding="utf-8")
    return tuple(text.split("\n")[:-1])


def probe_batch(
    tokenizer: Tokenizer, prompt: Sequence[int], answer: Sequence[int], context: int
) -> Batch:
    """Two rows: the answer after its prompt, and after as many guard prompts as there is room."""
    pieces = []
    room = context
    for say in guard_prompts():
        piece = answer_document(encode_prompt(tokenizer, [Message("user", say)], 2**31), answer)
        room -= len(piece.ids) - 1
        if room < 0:
            break
        pieces.append(piece)
    first = answer_batch(prompt, answer, context)
    others = pack(pieces, 1, context).batch
    return Batch(
        *(np.concatenate(rows) for rows in zip(*map(_arrays, (first, others)), strict=True))
    )


def _arrays(batch: Batch) -> tuple[np.ndarray, ...]:
    return batch.tokens_BT, batch.targets_BT, batch.weights_BT, batch.segments_BT


def probe(state: LifeState, batch: Batch) -> Probe:
    """What a `probe_batch` shows of the present weights."""
    nats_BT = np.asarray(batch_losses(state.train.params, batch, state.config), np.float64)
    totals_B = np.sum(nats_BT * batch.weights_BT, axis=1)
    counts_B = np.maximum(np.sum(batch.weights_BT, axis=1), 1)
    return Probe(*(float(value) for value in totals_B / counts_B))


class Surprise(NamedTuple):
    """The least expected token of an answer, and its probability."""

    token: str
    p: float


def surprise(
    life: Life, state: LifeState, prompt: Sequence[int], answer: Sequence[int]
) -> Surprise:
    """How unexpected an answer would be now."""
    batch = answer_batch(prompt, answer, state.config.model.context)
    nats_BT = np.asarray(batch_losses(state.train.params, batch, state.config))
    nats_T = nats_BT[0, len(prompt) - 1 : len(prompt) + len(answer) - 1]
    worst = int(np.argmax(nats_T))
    return Surprise(life.tokenizer.decode([answer[worst]]), math.exp(-float(nats_T[worst])))


def retention(life: Life, state: LifeState) -> list[Retention]:
    """The lessons of each age, and how many of them are answered word for word without context.

    At most `RECALLED` lessons are asked, evenly spread over the life; long ones are left out.
    """
    items = state.memory.items
    items = (
        [items[n * len(items) // RECALLED] for n in range(RECALLED)]
        if len(items) > RECALLED
        else list(items)
    )
    known = recalled(life, state, items)
    order = {item.event: number for number, item in enumerate(state.memory.items)}
    last = len(order)
    table = []
    for first, end in zip(AGES, [*AGES[1:], math.inf], strict=True):
        group = [event for event in known if first <= last - 1 - order[event] < end]
        if group:
            table.append(Retention(first, len(group), sum(known[event] for event in group)))
    return table


def known_share(life: Life, state: LifeState) -> float | None:
    """The share of old lessons that are answered word for word; None without any."""
    table = retention(life, state)
    asked = sum(row.lessons for row in table)
    return sum(row.known for row in table) / asked if asked else None


def recalled(life: Life, state: LifeState, items: Sequence[Item]) -> dict[int, bool]:
    """{event of a lesson: whether its answer comes word for word}, asked greedily, all at once."""
    model, tokenizer = state.config.model, life.tokenizer
    length = min(PROMPT_TOKENS + ANSWER_TOKENS, model.context)
    asked = []
    for item in items:
        ids = encode_prompt(tokenizer, [Message("user", item.said.say)], 2**31)
        short = len(encode_answer(tokenizer, item.said.answer)) <= length // 2
        if short and len(ids) <= length - length // 2:
            asked.append((item, ids))
    answers = answer_all(
        state.train.params,
        [ids for _, ids in asked],
        tokenizer,
        model,
        state.config.dtype,
        length=length,
        limit=length // 2,
    )
    return {
        item.event: answer is not None and normalized(answer) == normalized(item.said.answer)
        for (item, _), answer in zip(asked, answers, strict=True)
    }
