"""One lesson: what the person chose or typed becomes one row, one gradient, one journal event."""

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from model.chat import encode_answer
from train.life import Life, LifeState
from train.step import batch_losses, train_step
from train.windows import Batch

LEARNING_RATE = 3e-4
# Rows are padded to whole blocks, so that few lengths have to be compiled.
ROW_BLOCK = 128

Kind = Literal["pick", "teach"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lesson:
    """What one lesson did. Losses are nats per answer token, p the whole answer's probability."""

    event: int
    kind: Kind
    say: str
    answer: str
    loss_before: float
    loss_after: float
    p_before: float
    p_after: float
    seconds: float


class Question(NamedTuple):
    """What was asked: the person's words, and the ids of the prompt that carried them.

    `turn` is the event of the replies, `room` how many ids the prompt was allowed; with both, the
    prompt can be made anew when an earlier lesson is undone. `origin` is where it was taught from.
    """

    say: str
    prompt: Sequence[int]
    turn: int | None = None
    room: int | None = None
    origin: str | None = None


def give_lesson(
    life: Life,
    state: LifeState,
    question: Question,
    answer: str,
    kind: Kind,
    learning_rate: float = LEARNING_RATE,
) -> tuple[LifeState, Lesson]:
    """The state after one lesson that is safe in the journal, and what the lesson did.

    Args:
      state: donated; when the journal cannot be written it has to be restored from the folder.
      question: its prompt is the context of the loss, never a target.
      answer: the chosen or typed words; the loss is the mean over their tokens and the end mark.

    Raises:
      ValueError: an empty answer, one that does not fit, or a journal that cannot be written.
    """
    started = time.monotonic()
    if not answer.strip():
        raise ValueError("an answer must hold some words, got none; type or pick one.")
    if not (math.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"learning_rate must be a positive number, got {learning_rate}.")
    answer_ids = encode_answer(life.tokenizer, answer)
    batch = lesson_batch(question.prompt, answer_ids, state.config.model.context)
    data: dict[str, Any] = {
        "kind": kind,
        "say": question.say,
        "answer": answer,
        "prompt": [int(token) for token in question.prompt],
        "answer_ids": answer_ids,
        "learning_rate": learning_rate,
        "context": state.config.model.context,
    }
    if question.turn is not None and question.room is not None:
        data |= {"turn": question.turn, "room": question.room}
    if question.origin is not None:
        data["origin"] = question.origin
    train, loss = train_step(state.train, batch, learning_rate, state.config)
    before = float(loss)
    losses_BT = np.asarray(batch_losses(train.params, batch, state.config))
    after = float(np.sum(losses_BT * batch.weights_BT) / len(answer_ids))
    results = {
        "loss_before": before,
        "loss_after": after,
        "p_before": math.exp(-before * len(answer_ids)),
        "p_after": math.exp(-after * len(answer_ids)),
        "seconds": time.monotonic() - started,
    }
    event = life.journal.append("lesson", {**data, **results}, say=question.say, answer=answer)
    state = state._replace(train=train, event=event.id, lessons=state.lessons + 1)
    return state, Lesson(event=event.id, kind=kind, say=question.say, answer=answer, **results)


def apply_lesson(life: Life, state: LifeState, data: dict[str, Any]) -> LifeState:
    """The state after a lesson that the journal holds."""
    del life
    batch = lesson_batch(data["prompt"], data["answer_ids"], state.config.model.context)
    train, _ = train_step(state.train, batch, data["learning_rate"], state.config)
    return state._replace(train=train, lessons=state.lessons + 1)


def lesson_batch(prompt: Sequence[int], answer: Sequence[int], context: int) -> Batch:
    """One row: the prompt as context, the answer's tokens as targets.

    Raises:
      ValueError: prompt and answer together do not fit the context.
    """
    ids = np.asarray([*prompt, *answer], np.int32)
    length = len(ids) - 1
    if length > context:
        raise ValueError(
            f"the answer has {len(answer)} tokens after a prompt of {len(prompt)}, want at most "
            f"{context + 1} together; shorten the answer."
        )
    padded = min(-(-length // ROW_BLOCK) * ROW_BLOCK, context)
    tokens_BT, targets_BT = np.zeros((2, 1, padded), np.int32)
    weights_BT = np.zeros((1, padded), np.float32)
    tokens_BT[0, :length] = ids[:-1]
    targets_BT[0, :length] = ids[1:]
    weights_BT[0, len(prompt) - 1 : length] = 1
    return Batch(tokens_BT, targets_BT, weights_BT, np.zeros_like(tokens_BT))
