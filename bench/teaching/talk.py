"""The lessons of an experiment, and the conversation in which they are given."""

import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from bench.teaching.probes import load_lines
from model.chat import Message, encode_prompt, fitting_messages
from serve.session import Session
from train.lesson import Kind, Question, give_lesson
from train.recipe import Recipe

# Tokens that a prompt leaves for the answer.
ANSWER_ROOM = 40


def lessons_of(arguments) -> tuple[list[Any], list[Any], list[Any]]:
    """The facts, the facts among other lessons, and the other lessons after these."""
    draws = np.random.default_rng(arguments.seed)
    facts = load_lines("facts")
    facts = [facts[i] for i in draws.permutation(len(facts))[: arguments.facts]]
    others = load_lines("other")
    others = [others[i] for i in draws.permutation(len(others))]
    mixed = [*facts, *others[: arguments.others]]
    mixed = [mixed[i] for i in draws.permutation(len(mixed))]
    return facts, mixed, others[arguments.others : arguments.others + arguments.later]


class Talk:
    """A conversation in which every turn is a lesson; the last turns are before each question."""

    def __init__(self, session: Session, recipe: Recipe) -> None:
        self.session = session
        session.recipe = recipe
        self.context: list[Message] = []
        self.seconds: list[float] = []
        self.settled: list[float] = []

    def teach(
        self, say: str, answer: str, kind: Kind = "teach", unwanted: Sequence[str] = ()
    ) -> None:
        """One lesson through the product's own function."""
        session, life = self.session, self.session.life
        room = session.state.config.model.context
        messages = [*self.context, Message("user", say)]
        question = Question(say, encode_prompt(life.tokenizer, messages, room - ANSWER_ROOM))
        state, started = session.state, time.monotonic()
        session.state, lesson = give_lesson(
            life, state, question, answer, kind, session.recipe, unwanted
        )
        self.seconds.append(lesson.seconds)
        jax.block_until_ready(session.state.train.params)
        self.settled.append(time.monotonic() - started)
        session.rest()
        messages.append(Message("assistant", answer))
        self.context = list(fitting_messages(life.tokenizer, messages, room))
