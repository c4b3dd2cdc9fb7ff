"""What the conversation carries of a fact, and from when on the weights do."""

import collections
from collections.abc import Iterator, Sequence
from typing import Any

from bench.teaching.probes import LIMIT, ask, holds, keyword_share, pairs, share
from bench.teaching.talk import Talk, lessons_of
from model.chat import Message, fitting_messages
from serve.session import Session
from train.recipe import Recipe

# Turns between a fact and the question, where only the conversation can know it.
DISTANCES = (0, 3)
# Lessons since a fact was taught, where only the weights can know it.
AGES = (0, 1, 2, 4, 8, 16, 32)


def tell_and_teach(session: Session, recipe: Recipe, arguments) -> Iterator[dict[str, Any]]:
    """First every fact is only said, so many turns before it is asked; then taught, and asked."""
    facts, lessons, _ = lessons_of(arguments)
    others = [lesson for lesson in lessons if lesson not in facts]
    for distance in DISTANCES:
        yield said_before(session, facts, others[:distance])
    talk = Talk(session, recipe)
    taught: list[Any] = []
    by_age: dict[int, list[bool]] = collections.defaultdict(list)
    for lesson in lessons:
        talk.teach(lesson["say"], lesson["answer"])
        taught.append(lesson)
        known = [(age, taught[-1 - age]) for age in AGES if age < len(taught)]
        known = [(age, fact) for age, fact in known if fact in facts]
        answers = ask(session, [fact["say"] for _, fact in known])
        for (age, fact), answer in pairs(known, answers):
            by_age[age].append(holds(answer, fact["keyword"]))
    for age in AGES:
        yield {"lessons_since": age, "asked": len(by_age[age]), "weights": share(by_age[age])}


def said_before(session: Session, facts: Sequence[Any], between: Sequence[Any]) -> dict[str, Any]:
    """The shares of facts that come out of the conversation alone, in the same and other words."""
    after = [message for lesson in between for message in turn(lesson)]
    same, other, fitted = [], [], []
    for fact in facts:
        context = [*turn(fact), *after]
        answers = ask(session, [fact["say"], fact["paraphrases"][0]], context=context)
        same.append(answers[0])
        other.append(answers[1])
        fitted.append(fits(session, [*context, Message("user", fact["say"])]))
    return {
        "turns_between": len(between),
        "in_the_window": share(fitted),
        "conversation": keyword_share(same, facts),
        "conversation_in_other_words": keyword_share(other, facts),
    }


def fits(session: Session, messages: Sequence[Message]) -> bool:
    """Whether the first of the messages is still part of a prompt."""
    room = session.state.config.model.context - LIMIT
    return len(fitting_messages(session.life.tokenizer, messages, room)) == len(messages)


def turn(lesson: Any) -> list[Message]:
    """A lesson's question and its answer as messages."""
    return [Message("user", lesson["say"]), Message("assistant", lesson["answer"])]
