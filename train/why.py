"""Where a reply comes from: what is near it in words, what pulled towards it, the life without it.

A pull is the dot product of two gradients: that of the reply's loss and that of a lesson's loss. To
first order, a plain step at rate r on the lesson lowers the reply's loss by r times the pull.
Source: TracIn, arXiv 2002.08484, at the present weights alone.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from model.chat import Message, encode_prompt
from train.books import Document, load_saved_book
from train.effective import gone_with, undone_events
from train.journal import nearest_texts
from train.life import Life, LifeState
from train.reading_plan import books_read
from train.records import Event, Hit
from train.rehearsal import answer_batch
from train.replay import Watch, restore_without
from train.step import StepConfig, batch_losses, part_gradients
from train.talk import context_after_undo
from train.undo import UndoPlan, plan_undo
from train.windows import Batch

# Lessons whose gradients are compared: the nearest in words, and the last ones.
NEAREST, RECENT = 8, 8
SHOWN = 5


class Passage(NamedTuple):
    """A paragraph of a book that was read."""

    book: str
    text: str


class Pull(NamedTuple):
    """A lesson, and the dot product of its gradient with the reply's."""

    event: int
    say: str
    answer: str
    pull: float


class Why(NamedTuple):
    """What is nearest in words, and the strongest pulls of `compared` lessons, strongest first."""

    lessons: tuple[Hit, ...]
    passages: tuple[Passage, ...]
    pulls: tuple[Pull, ...]
    compared: int


class Without(NamedTuple):
    """The log-probability of a reply, in nats, in this life and in the one without some events."""

    log_prob: float
    log_prob_without: float


def why(life: Life, state: LifeState, text: str, prompt: Sequence[int], ids: Sequence[int]) -> Why:
    """What a reply may come from.

    Args:
      text: the words to look for: what was said, and the reply.
      prompt: ids that the reply followed.
      ids: of the reply, at least one.
    """
    gone = undone_events(life.journal)
    hits = life.journal.search(text, limit=NEAREST + len(gone), any_word=True)
    hits = [hit for hit in hits if hit.event not in gone][:NEAREST]
    lessons = _candidates(life, gone, [hit.event for hit in hits])
    context = state.config.model.context
    batches = [answer_batch(e.data["prompt"], e.data["answer_ids"], context) for e in lessons]
    reply = answer_batch(prompt, ids, context)
    found = pulls(state.train.params, reply, batches, state.config)
    rows = [
        Pull(event.id, event.data["say"], event.data["answer"], pull)
        for event, pull in zip(lessons, found, strict=True)
    ]
    rows.sort(key=lambda row: (-row.pull, row.event))
    return Why(tuple(hits[:SHOWN]), passages(life, text, SHOWN), tuple(rows[:SHOWN]), len(rows))


def pulls(params: Any, reply: Batch, lessons: Sequence[Batch], config: StepConfig) -> list[float]:
    """The dot product of the gradient of each lesson's mean loss with that of the reply's.

    The reply's whole gradient is kept, 4 bytes a parameter; of a lesson's, one part at a time.
    """
    wanted = dict(part_gradients(params, reply, config)) if lessons else {}
    return [
        math.fsum(
            float(_dot(wanted[name], gradient))
            for name, gradient in part_gradients(params, lesson, config)
        )
        for lesson in lessons
    ]


def passages(life: Life, text: str, limit: int) -> tuple[Passage, ...]:
    """The paragraphs of the books read that are nearest to the text in words."""
    found: list[Passage] = []
    for sha256 in books_read(life):
        book = load_saved_book(life.library.folder, sha256)
        for document in book.documents:
            found += [Passage(book.name, part) for part in _paragraphs(document)]
    places = nearest_texts([passage.text for passage in found], text, limit)
    return tuple(found[place] for place in places)


def plan_without(life: Life, event: int) -> UndoPlan:
    """What the life without this lesson or book lacks, and what making it costs.

    Raises:
      ValueError: no such event, one that was undone, or neither a lesson nor a book.
    """
    plan = plan_undo(life, event=event)
    kind = life.journal.event(event).kind
    if kind not in ("lesson", "read", "book", "open"):
        raise ValueError(
            f"event {event} is of the kind {kind!r}, want a lesson or a book; name one of those."
        )
    return plan


def without(
    life: Life,
    state: LifeState,
    plan: UndoPlan,
    messages: Sequence[Message],
    room: int,
    ids: Sequence[int],
    watch: Watch = lambda _: None,
) -> Without:
    """The probability of a reply now and in the life without the plan's events, replayed aside.

    Without them, their words are not in the prompt either. Nothing in the folder changes; a second
    state is in memory meanwhile.

    Args:
      messages: the conversation up to what the reply answers.
      room: how many ids the prompt may have.
      ids: of the reply, at least one.
    """
    gone = gone_with(life.journal, plan.events)
    before = context_after_undo(life, messages[:-1], gone)
    now = log_prob(life, state, messages, room, ids)
    other = restore_without(life, plan.events, watch)
    return Without(now, log_prob(life, other, [*before, messages[-1]], room, ids))


def log_prob(
    life: Life, state: LifeState, messages: Sequence[Message], room: int, ids: Sequence[int]
) -> float:
    """The log-probability of the ids as the answer to these messages, in nats."""
    prompt = encode_prompt(life.tokenizer, messages, room)
    batch = answer_batch(prompt, ids, state.config.model.context)
    losses_BT = np.asarray(batch_losses(state.train.params, batch, state.config), np.float64)
    return -float(np.sum(losses_BT * batch.weights_BT))


def _candidates(life: Life, gone: frozenset[int], near: Sequence[int]) -> list[Event]:
    """The lessons that are near in words and the last ones, each once."""
    given = [id for id, kind in life.journal.index() if kind == "lesson" and id not in gone]
    return [life.journal.event(id) for id in dict.fromkeys([*near, *reversed(given[-RECENT:])])]


def _paragraphs(document: Document) -> list[str]:
    if document.messages:
        return ["\n".join(message.text for message in document.messages)]
    return [part.strip() for part in document.text.split("\n\n") if part.strip()]


@jax.jit
def _dot(one: Any, other: Any) -> jax.Array:
    products = jax.tree.map(lambda a, b: jnp.vdot(a, b, precision="highest"), one, other)
    return jax.tree.reduce(jnp.add, products)
