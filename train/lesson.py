"""One lesson: what the person chose or typed becomes one batch, one gradient, one journal event."""

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from model.axes import count_parameters
from model.chat import encode_answer
from train.life import REHEARSAL_STREAM, Life, LifeState
from train.own_replies import with_own_replies
from train.probes import probe, probe_batch
from train.recipe import RECIPES, Recipe
from train.records import Event
from train.rehearsal import Rehearsal, answer_document, lesson_rehearsal
from train.schedule import Exchange, count_known, rehearsed, taught, typed_are_due
from train.state import TrainState
from train.step import train_step_losses

Kind = Literal["pick", "teach"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lesson:
    """What the life's lesson `number` did.

    Losses are nats per answer token, p is the whole answer's probability.

    `leak` is how many times likelier a token of the answer became after unrelated prompts.

    `rehearsed` counts the old lessons that came back with it, `known` those of them whose answer
    was still right; `contradicts` is the older answer to the same question, if there was one.
    """

    event: int
    number: int
    kind: Kind
    say: str
    answer: str
    loss_before: float
    loss_after: float
    p_before: float
    p_after: float
    leak: float
    rehearsed: int
    known: int
    contradicts: str | None
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
    recipe: Recipe = RECIPES["rehearsed"],
    unwanted: Sequence[str] = (),
) -> tuple[LifeState, Lesson]:
    """The state after one lesson that is safe in the journal, and what the lesson did.

    The recipe's rehearsals are still owed: `settle` makes them, at the latest before anything else.

    Args:
      state: donated; when the journal cannot be written it has to be restored from the folder.
      question: its prompt is the context of the loss, never a target.
      answer: the chosen or typed words; the loss is the mean over their tokens and the end mark.
      recipe: what the update is made of.
      unwanted: the replies that a picked one was preferred to.

    Raises:
      ValueError: an empty answer, one that does not fit, or a journal that cannot be written.
    """
    started = time.monotonic()
    if not answer.strip():
        raise ValueError("an answer must hold some words, got none; type or pick one.")
    answer_ids = encode_answer(life.tokenizer, answer)
    _require_room(question.prompt, answer_ids, state.config.model.context)
    data: dict[str, Any] = {
        "kind": kind,
        "say": question.say,
        "answer": answer,
        "prompt": [int(token) for token in question.prompt],
        "answer_ids": answer_ids,
        "recipe": dataclasses.asdict(recipe),
        "context": state.config.model.context,
    }
    if question.turn is not None and question.room is not None:
        data |= {"turn": question.turn, "room": question.room}
    if question.origin is not None:
        data["origin"] = question.origin
    if unwanted:
        data["unwanted"] = list(unwanted)
    last = life.journal.last()
    assert last is not None
    probes = probe_batch(life.tokenizer, question.prompt, answer_ids, state.config.model.context)
    before = probe(state, probes)
    if kind == "pick" and before.loss < recipe.pick_nats:
        data["weight"] = before.loss / recipe.pick_nats
    state, update = _update(life, state, last.id + 1, data)
    after = probe(state, probes)
    results = {
        "loss_before": before.loss,
        "loss_after": after.loss,
        "p_before": math.exp(-before.loss * len(answer_ids)),
        "p_after": math.exp(-after.loss * len(answer_ids)),
        "leak": math.exp(before.elsewhere - after.elsewhere),
        "rehearsed": update.rehearsed,
        "known": update.known,
        "contradicts": update.contradicts,
        "seconds": time.monotonic() - started,
    }
    event = life.journal.append("lesson", {**data, **results}, say=question.say, answer=answer)
    assert event.id == last.id + 1
    state = state._replace(event=event.id)
    words = {"kind": kind, "say": question.say, "answer": answer}
    return state, Lesson(event=event.id, number=state.lessons, **words, **results)


def apply_lesson(life: Life, state: LifeState, event: Event) -> LifeState:
    """The state after a lesson that the journal holds, and after its rehearsals."""
    return settle(life, _update(life, state, event.id, event.data)[0])


def settle(life: Life, state: LifeState) -> LifeState:
    """The state after the rehearsals that the last lesson still owes; it is donated.

    They end early when no typed lesson is due any more: a picked reply is to show the way, and
    rehearsed for itself it would soon be the only one.
    """
    if state.owed is None:
        return state
    recipe = state.owed
    key = life.stream(REHEARSAL_STREAM, state.lessons - 1)
    parameters = count_parameters(state.config.model)
    rehearsals, recipe = recipe.rehearsals_of(parameters), recipe.of_rehearsals(parameters)
    for number in range(1, rehearsals + 1):
        if not typed_are_due(state.memory.items, state.lessons):
            break
        state, _ = rehearse(life, state, recipe, jax.random.fold_in(key, number))
    return state._replace(owed=None)


def rehearse(
    life: Life, state: LifeState, recipe: Recipe, key: jax.Array, *, early: bool = False
) -> tuple[LifeState, dict[int, float]]:
    """The state after one update without a lesson, and the old lessons' losses before it.

    `early` lets lessons come back that are not due yet.
    """
    memory = state.memory
    rehearsal = lesson_rehearsal(
        None,
        None,
        memory.items,
        memory.own or (),
        life.library.shelf(memory.books),
        life.tokenizer,
        state.config.model.context,
        state.lessons,
        recipe,
        random_draws(key),
        early=early,
    )
    train, losses = train_on(state, rehearsal, recipe)
    items = rehearsed(memory.items, losses, state.lessons)
    return state._replace(train=train, memory=memory._replace(items=items)), losses


class _Update(NamedTuple):
    """What an update saw before it: old lessons, and those of them that were known."""

    rehearsed: int
    known: int
    contradicts: str | None


def _update(
    life: Life, state: LifeState, event: int, data: dict[str, Any]
) -> tuple[LifeState, _Update]:
    """The state after the lesson with that event's data; a function of the state and these."""
    assert state.owed is None
    recipe = Recipe(**data["recipe"]).weighing(data.get("weight", 1.0))
    said = Exchange(data["say"], data["answer"])
    if recipe.own:
        state = with_own_replies(life, state)
    memory, now = state.memory, state.lessons
    # An older answer to the same question must not ride along with the new one.
    items, contradicts = taught(memory.items, event, said, now, pick=data["kind"] == "pick")
    rehearsal = lesson_rehearsal(
        answer_document(data["prompt"], data["answer_ids"]),
        said,
        items[:-1],
        (memory.drawn if data["kind"] == "pick" else memory.own) or (),
        life.library.shelf(memory.books),
        life.tokenizer,
        state.config.model.context,
        now,
        recipe,
        random_draws(life.stream(REHEARSAL_STREAM, now)),
        unwanted=data.get("unwanted", ()),
    )
    train, losses = train_on(state, rehearsal, recipe)
    known = count_known(items, losses)
    items = (*rehearsed(items[:-1], losses, now), items[-1])
    memory = memory._replace(items=items)
    owed = recipe if recipe.rehearsals else None
    state = state._replace(train=train, lessons=now + 1, memory=memory, owed=owed)
    return state, _Update(len(losses), known, contradicts)


def random_draws(key: jax.Array) -> np.random.Generator:
    """Uniform numbers of a key, for choices that are made outside of compiled functions."""
    bits = np.asarray(jax.random.key_data(key), np.uint64)
    return np.random.Generator(np.random.Philox(key=bits))


def train_on(
    state: LifeState, rehearsal: Rehearsal, recipe: Recipe
) -> tuple[TrainState, dict[int, float]]:
    """The arrays after the recipe's updates, and nats per token of each item's answer before."""
    config, train = state.config, state.train
    if recipe.sgd:
        config = config._replace(optimizer=dataclasses.replace(config.optimizer, sgd=True))
    losses: dict[int, float] = {}
    for number in range(recipe.steps):
        train, _, nats_BT = train_step_losses(
            train,
            rehearsal.batch,
            recipe.learning_rate,
            config,
            fresh_moments=recipe.fresh_moments and number == 0,
        )
        losses = losses or _answer_losses(rehearsal, np.asarray(nats_BT))
    return train, losses


def _answer_losses(rehearsal: Rehearsal, nats_BT: np.ndarray) -> dict[int, float]:
    """Nats per token of every answer by item; of several rows of one item the first counts."""
    losses: dict[int, float] = {}
    for answer in rehearsal.answers:
        loss = float(np.mean(nats_BT[answer.row, answer.start : answer.stop]))
        losses.setdefault(answer.item, loss)
    return losses


def _require_room(prompt: Sequence[int], answer: Sequence[int], context: int) -> None:
    if len(prompt) + len(answer) > context + 1:
        raise ValueError(
            f"the answer has {len(answer)} tokens after a prompt of {len(prompt)}, want at most "
            f"{context + 1} together; shorten the answer."
        )
