"""Teaching, measured: facts taught once each among other lessons, and what becomes of the rest.

    python -m bench.teach facts --base=LIFE --out=FILE.jsonl --arm=rehearsed --seed=0
    python -m bench.teach picks --base=LIFE --out=FILE.jsonl --arm=rehearsed --seed=0 --style=asks
    python -m bench.teach corrections --base=LIFE --out=FILE.jsonl --arm=rehearsed --seed=0

An arm is a recipe by name, with changes: `rehearsed,learning_rate=1e-3,own=0`. The base is a model
folder that has read and was not taught; it is copied, so that every run begins alike. Lessons go
through `train.lesson.give_lesson`, the conversation so far before each, as in the product.
"""

import argparse
import json
import math
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bench.teaching.probes import (
    Probes,
    ask,
    exposure_counts,
    exposures,
    hold_in_samples,
    holds,
    load_lines,
    measure,
    share,
    style_record,
)
from model.chat import Message, encode_prompt, fitting_messages
from serve.session import Session
from train.books import load_book
from train.lesson import Kind, Question, give_lesson
from train.reading_plan import ReadingConfig
from train.recipe import RECIPES, Recipe
from train.wording import normalized

FIRST, LATER = 200, 300
# Tokens that a prompt leaves for the answer.
ANSWER_ROOM = 40
MARK_EVERY = 50
# Lessons between two looks at which facts hold in samples.
HELD_EVERY = 10
# Prompts between two measurements of a style, and the replies to choose from.
PICKS_PER_MARK, CANDIDATES = 12, 5
STYLES = {
    "asks": lambda reply: 1 <= reply.count("?") <= 3 and len(reply.split()) >= 3,
    "exclaims": lambda reply: "!" in reply and len(reply.split()) >= 2,
    "long": lambda reply: len(reply.split()) >= 10,
}


def main() -> None:
    """Runs one arm with one seed and appends its measurements to the output file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["facts", "corrections", "picks", "book"])
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arm", default="rehearsed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--facts", type=int, default=100)
    parser.add_argument("--others", type=int, default=FIRST)
    parser.add_argument("--later", type=int, default=LATER)
    parser.add_argument("--marks", type=int, default=MARK_EVERY)
    parser.add_argument("--style", choices=sorted(STYLES), default="asks")
    parser.add_argument("--sleep", type=int, default=0, help="updates of rehearsal at the end")
    parser.add_argument("--book", type=Path, help="is read after the lessons")
    parser.add_argument("--rehearse_every", type=int, default=24, help="windows of that book")
    parser.add_argument("--random", action="store_true", help="pick any reply, as a control")
    arguments = parser.parse_args()
    ways = {
        "facts": teach_facts,
        "corrections": teach_corrections,
        "picks": pick_replies,
        "book": read_after_lessons,
    }
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / "life"
        shutil.copytree(arguments.base, workdir)
        with Session.open(workdir) as session:
            records = ways[arguments.what](session, read_arm(arguments.arm), arguments)
            for record in records:
                named = {"what": arguments.what, "arm": arguments.arm, "seed": arguments.seed}
                with arguments.out.open("a") as file:
                    file.write(json.dumps({**named, **record}) + "\n")
                print(json.dumps({**named, **record}), flush=True)


def read_arm(text: str) -> Recipe:
    """The recipe of that name with the changes after it."""
    name, *changes = text.split(",")
    fields = vars(RECIPES[name])
    changed = {}
    for change in changes:
        field, value = change.split("=")
        changed[field] = type(fields[field])(float(value))
    return Recipe(**{**fields, **changed})


def teach_facts(session: Session, recipe: Recipe, arguments):
    """Every fact once among other lessons, then other lessons only; measurements on the way."""
    facts, mixed, later = lessons_of(arguments)
    lessons = [*mixed, *later]
    probes = Probes.of(session, facts)
    yield {"lessons": 0, **measure(session, probes, facts, [])}
    talk, held = Talk(session, recipe), {}
    for number, lesson in enumerate(lessons, start=1):
        talk.teach(lesson["say"], lesson["answer"])
        if number % HELD_EVERY == 0:
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
                **measure(session, probes, known, talk.context, full=full),
            }
    if arguments.sleep:
        session.recipe = recipe
        session.sleep(arguments.sleep)
        yield {
            "lessons": len(lessons),
            "slept": arguments.sleep,
            **measure(session, probes, facts, talk.context, full=True),
        }


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


def read_after_lessons(session: Session, recipe: Recipe, arguments):
    """Facts among other lessons, then a book in which the lessons come back every so often."""
    records = list(teach_facts(session, recipe, arguments))
    yield records[-1]
    facts = lessons_of(arguments)[0]
    probes = Probes.of(session, facts)
    reading = ReadingConfig(rehearse_every=arguments.rehearse_every)
    for _ in session.read([load_book(arguments.book)], reading):
        pass
    yield {
        "rehearse_every": arguments.rehearse_every,
        "book": arguments.book.stem,
        **measure(session, probes, facts, []),
    }


def teach_corrections(session: Session, recipe: Recipe, arguments):
    """Facts, other lessons, the facts contradicted, other lessons; which answer is given."""
    draws = np.random.default_rng(arguments.seed)
    facts = load_lines("corrections")
    others = load_lines("other")
    others = [others[i] for i in draws.permutation(len(others))]
    talk = Talk(session, recipe)
    for name, start in (("answer", 0), ("new_answer", arguments.others)):
        for number in draws.permutation(len(facts)):
            talk.teach(facts[number]["say"], facts[number][name])
        for lesson in others[start : start + arguments.others]:
            talk.teach(lesson["say"], lesson["answer"])
        found = ask(session, [fact["say"] for fact in facts])
        yield {
            "stage": name,
            "old": share(holds(a, f["keyword"]) for a, f in zip(found, facts, strict=True)),
            "new": share(holds(a, f["new_keyword"]) for a, f in zip(found, facts, strict=True)),
            "exposures": exposures(session, facts),
        }


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


class Talk:
    """A conversation in which every turn is a lesson; the last turns are before each question."""

    def __init__(self, session: Session, recipe: Recipe) -> None:
        self.session, self.recipe = session, recipe
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
            life, state, question, answer, kind, self.recipe, unwanted
        )
        self.seconds.append(lesson.seconds)
        jax.block_until_ready(session.state.train.params)
        self.settled.append(time.monotonic() - started)
        messages.append(Message("assistant", answer))
        self.context = list(fitting_messages(life.tokenizer, messages, room))


if __name__ == "__main__":
    main()
