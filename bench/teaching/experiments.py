"""The experiments of `bench.teach`: each yields records of what was measured on its way."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from bench.teaching.probes import (
    Probes,
    ask,
    exposure_counts,
    hold_in_samples,
    load_lines,
    measure,
    style_record,
    word_for_word,
)
from bench.teaching.talk import Talk, lessons_of
from serve.session import Session
from train.books import load_book
from train.evaluate import forgetting_report
from train.reading_plan import ReadingConfig
from train.recipe import Recipe
from train.wording import normalized

# Held-out windows of each book.
BOOK_WINDOWS = 8
# How often one lesson was given when it is measured.
REPETITIONS = (0, 10, 30, 60, 100)
# Prompts between two measurements of a style, and the replies to choose from.
PICKS_PER_MARK, CANDIDATES = 12, 5
STYLES = {
    "asks": lambda reply: 1 <= reply.count("?") <= 3 and len(reply.split()) >= 3,
    "exclaims": lambda reply: "!" in reply and len(reply.split()) >= 2,
    "long": lambda reply: len(reply.split()) >= 10,
}


def teach_facts(session: Session, recipe: Recipe, arguments):
    """Every fact once among other lessons, then other lessons only; measurements on the way."""
    facts, mixed, later = lessons_of(arguments)
    lessons = [*mixed, *later]
    probes = Probes.of(session, facts)
    yield {"lessons": 0, **measure(session, probes, facts, [])}
    talk, held = Talk(session, recipe), {}
    for number, lesson in enumerate(lessons, start=1):
        talk.teach(lesson["say"], lesson["answer"], arguments.kind)
        held |= newly_held(session, [f for f in facts if f in lessons[:number]], held)
        if number % arguments.marks == 0 or number == len(lessons):
            known = [fact for fact in facts if fact in lessons[:number]]
            full = number in (len(mixed), len(lessons))
            yield {
                "lessons": number,
                "seconds": float(np.median(talk.seconds)),
                "seconds_with_rehearsals": float(np.median(talk.settled)),
                "held": len(held) / max(len(known), 1),
                "exposures_until_held": median_or_none(held, known),
                "all_recall": recall(session, lessons[:number]) if full else None,
                **measure(session, probes, known, talk.context, full=full),
            }
    afterwards = (("rested", arguments.pause, pause), ("slept", arguments.sleep, Session.sleep))
    for name, updates, rehearse in afterwards:
        if updates:
            rehearse(session, updates)
            yield {
                "lessons": len(lessons),
                name: updates,
                "all_recall": recall(session, lessons),
                **measure(session, probes, facts, talk.context, full=True),
            }


def pause(session: Session, updates: int) -> None:
    """The last lesson was followed by so many updates of rest."""
    session.rest_updates = updates
    session.rest()


def recall(session: Session, lessons) -> float | None:
    """The share of all lessons, facts or not, whose answer is given word for word."""
    return word_for_word(ask(session, [lesson["say"] for lesson in lessons]), lessons)


def newly_held(session: Session, facts, held: dict[str, int]) -> dict[str, int]:
    """The exposures of each fact that holds in four of five samples for the first time."""
    facts = [fact for fact in facts if fact["say"] not in held]
    if not facts:
        return {}
    key = jax.random.fold_in(jax.random.key(7), session.state.lessons)
    found = hold_in_samples(session, facts, key)
    counts = exposure_counts(session)
    return {
        fact["say"]: counts[normalized(fact["say"])]
        for fact, is_held in zip(facts, found, strict=True)
        if is_held
    }


def median_or_none(held: dict[str, int], facts) -> float | None:
    """The median of exposures until a fact held, those that never did taken for the most."""
    counts = sorted(held.get(fact["say"], math.inf) for fact in facts)
    middle = counts[(len(counts) - 1) // 2] if counts else math.inf
    return None if math.isinf(middle) else middle


def read_after_lessons(session: Session, recipe: Recipe, arguments) -> Iterator[dict[str, Any]]:
    """Facts among other lessons, then books in which the lessons come back every so often."""
    yield list(teach_facts(session, recipe, arguments))[-1]
    facts = lessons_of(arguments)[0]
    probes = Probes.of(session, facts)
    reading = ReadingConfig(rehearse_every=arguments.rehearse_every)
    when_read: dict[str, float | None] = {}
    for path in arguments.book:
        book = load_book(path)
        for _ in session.read([book], reading):
            pass
        now = bits_of(session, [*when_read, book.sha256])
        when_read[book.sha256] = now[book.sha256]
        yield {
            "rehearse_every": arguments.rehearse_every,
            "book": book.name,
            "this_book": now[book.sha256],
            "earlier_books": mean_of([now[sha256] for sha256 in when_read][:-1]),
            "when_just_read": mean_of([*when_read.values()][:-1]),
            **measure(session, probes, facts, []),
        }


def bits_of(session: Session, hashes: Sequence[str]) -> dict[str, float | None]:
    """Held-out bits per byte of each book."""
    return {
        sha256: bits
        for sha256 in hashes
        for bits in forgetting_report(session.life, session.state, [sha256], BOOK_WINDOWS).values()
    }


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean of the values that there are; None without any."""
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None


def repeat_lesson(session: Session, recipe: Recipe, arguments) -> Iterator[dict[str, Any]]:
    """One fact, a hundred times over: what becomes of everything else."""
    fact = lessons_of(arguments)[0][0]
    probes, talk = Probes.of(session, [fact]), Talk(session, recipe)
    for before, times in itertools.pairwise((0, *REPETITIONS)):
        for _ in range(times - before):
            talk.teach(fact["say"], fact["answer"])
        yield {"times": times, **measure(session, probes, [fact], [])}


def pick_replies(session: Session, recipe: Recipe, arguments):
    """Of five replies the first in the style is picked, none if none has it; or any at random."""
    draws = np.random.default_rng(arguments.seed)
    prompts = [line["say"] for line in load_lines("style_train")]
    prompts = [prompts[i] for i in draws.permutation(len(prompts))]
    probes = Probes.of(session, [])
    has_style, at_random = STYLES[arguments.style], arguments.random
    talk, picked = Talk(session, recipe), 0
    for number in range(len(prompts) + 1):
        if number % PICKS_PER_MARK == 0:
            yield {
                "style": arguments.style,
                "random": at_random,
                "prompts": number,
                "picks": picked,
                **style_record(session, probes, has_style, arguments.seed),
            }
        if number == len(prompts):
            return
        key = jax.random.fold_in(jax.random.key(arguments.seed), number)
        replies = ask(session, [prompts[number]] * CANDIDATES, temperature=0.7, key=key)
        ended = [reply for reply in replies if reply]
        wanted = ended if at_random else [reply for reply in ended if has_style(reply)]
        if wanted:
            answer = wanted[int(draws.integers(len(wanted)))] if at_random else wanted[0]
            unwanted = dict.fromkeys(reply for reply in ended if reply != answer)
            talk.teach(prompts[number], answer, "pick", tuple(unwanted))
            picked += 1
