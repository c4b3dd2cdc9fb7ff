"""The taught answer that a question calls to mind, where the weights are sure enough of one.

Asked in words it has seldom heard, a small model begins with what it says to most questions,
although it finds the right answer, taken as a whole, likelier than any other that it was taught.
So the answers to the taught questions that are most like it are scored whole by the weights,
against how likely they are after words that ask for nothing, and the best counts if it stands out.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from model.axes import count_parameters
from model.chat import Message, encode_answer, encode_prompt
from model.tokenizer import Tokenizer
from train.life import LifeState
from train.likeness import likeness
from train.rehearsal import answer_document, pack
from train.schedule import Item
from train.step import batch_losses

# Taught answers that are scored, at most: these, fewer in large models, so that it stays quick.
CANDIDATES, SCORED_PARAMETERS = 32, 640_000_000
FEWEST = 8
# How much of an answer's likelihood anywhere is taken off, and what the likeness of the questions
# adds; chosen, like the least score that counts, on one taught life (docs/lessons.md).
ANYWHERE, ALIKE, LEAST = 0.3, 6.0, 3.3
NEUTRAL = "Tell me something."
# As few of these rows as hold all that is scored: few shapes, for each is compiled.
ROWS, ROW_TOKENS = (2, 4, 8), 256


class Remembered(NamedTuple):
    """A taught answer, its log-probability in nats after the bare question, and its score."""

    answer: str
    log_prob: float
    score: float


def remember(state: LifeState, tokenizer: Tokenizer, say: str) -> Remembered | None:
    """The taught answer that these words call to mind, if one stands out."""
    typed = [item for item in state.memory.items if not item.pick]
    found = best_of(state, tokenizer, say, typed)
    return found if found is not None and found.score >= LEAST else None


def best_of(
    state: LifeState, tokenizer: Tokenizer, say: str, items: Sequence[Item]
) -> Remembered | None:
    """The highest score among the lessons whose questions are most like these words."""
    alike = likeness(say, [item.said for item in items])
    count = max(FEWEST, min(CANDIDATES, SCORED_PARAMETERS // count_parameters(state.config.model)))
    # Of equals the last that was taught.
    order = sorted(range(len(items)), key=lambda index: (-alike[index], -index))[:count]
    answers = [items[index].said.answer for index in order]
    nats = answer_nats(state, tokenizer, [(s, a) for a in answers for s in (say, NEUTRAL)])
    scored = []
    for index, answer, here, anywhere in zip(order, answers, nats[::2], nats[1::2], strict=True):
        if here is not None and anywhere is not None:
            tokens = len(encode_answer(tokenizer, answer))
            score = (ANYWHERE * anywhere - here) / math.sqrt(tokens) + ALIKE * alike[index]
            scored.append(Remembered(answer, -here, score))
    return max(scored, key=lambda remembered: remembered.score, default=None)


def answer_nats(
    state: LifeState, tokenizer: Tokenizer, exchanges: Sequence[tuple[str, str]]
) -> list[float | None]:
    """The loss of each whole answer after its words alone; None where there was no room for it."""
    pieces = [
        answer_document(
            encode_prompt(tokenizer, [Message("user", say)], 2**31),
            encode_answer(tokenizer, answer),
        )._replace(items=(number,))
        for number, (say, answer) in enumerate(exchanges)
    ]
    length = min(ROW_TOKENS, state.config.model.context)
    fitting = [piece for piece in pieces if len(piece.ids) <= length + 1]
    nats: list[float | None] = [None] * len(pieces)
    if fitting:
        for rows in ROWS:
            scored = pack(fitting, rows, length)
            if len(scored.answers) == len(fitting):
                break
        nats_BT = np.asarray(batch_losses(state.train.params, scored.batch, state.config))
        for answer in scored.answers:
            nats[answer.item] = float(np.sum(nats_BT[answer.row, answer.start : answer.stop]))
    return nats
