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
import shutil
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from bench.teaching.probes import Probes, load_lines, measure
from model.chat import Message, encode_prompt, fitting_messages
from serve.session import Session
from train.lesson import Question, give_lesson
from train.recipe import RECIPES, Recipe

FIRST, LATER = 200, 300
MARK_EVERY = 50


def main() -> None:
    """Runs one arm with one seed and appends its measurements to the output file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["facts"])
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arm", default="rehearsed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--facts", type=int, default=100)
    parser.add_argument("--others", type=int, default=FIRST)
    parser.add_argument("--later", type=int, default=LATER)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder) / "life"
        shutil.copytree(arguments.base, workdir)
        with Session.open(workdir) as session:
            for record in teach_facts(session, read_arm(arguments.arm), arguments):
                named = {"arm": arguments.arm, "seed": arguments.seed, **record}
                with arguments.out.open("a") as file:
                    file.write(json.dumps(named) + "\n")
                print(json.dumps(named), flush=True)


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
    draws = np.random.default_rng(arguments.seed)
    facts = load_lines("facts")
    facts = [facts[i] for i in draws.permutation(len(facts))[: arguments.facts]]
    others = load_lines("other")
    others = [others[i] for i in draws.permutation(len(others))]
    mixed = [*facts, *others[: arguments.others]]
    mixed = [mixed[i] for i in draws.permutation(len(mixed))]
    lessons = [*mixed, *others[arguments.others : arguments.others + arguments.later]]
    probes = Probes.of(session, facts)
    yield {"lessons": 0, **measure(session, probes, facts, [])}
    context: list[Message] = []
    seconds = []
    life = session.life
    for number, lesson in enumerate(lessons, start=1):
        room = session.state.config.model.context
        messages = [*context, Message("user", lesson["say"])]
        question = Question(lesson["say"], encode_prompt(life.tokenizer, messages, room - 40))
        started = time.monotonic()
        session.state, _ = give_lesson(
            life, session.state, question, lesson["answer"], "teach", recipe
        )
        jax.block_until_ready(session.state.train.params)
        seconds.append(time.monotonic() - started)
        context = list(
            fitting_messages(
                life.tokenizer, [*messages, Message("assistant", lesson["answer"])], room
            )
        )
        if number % MARK_EVERY == 0 or number == len(lessons):
            known = [fact for fact in facts if fact in lessons[:number]]
            full = number in (len(mixed), len(lessons))
            yield {
                "lessons": number,
                "seconds": float(np.median(seconds)),
                **measure(session, probes, known, context, full=full),
            }


if __name__ == "__main__":
    main()
