"""What questions call to mind, by likeness alone and with the weights of a taught life.

    python -m bench.remembering likeness
    python -m bench.remembering scores --life=LIFE --facts=40 --others=20 --seed=1

The first needs no weights. The second takes a life that `bench.teach facts --keep=LIFE` left, with
the same facts, others and seed, and goes through least scores: how many paraphrases get the right
answer and another one, and how many prompts about nothing that was taught get any, or a fact.
"""

import argparse
import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.teaching.probes import holds, is_rehearsed, load_lines
from bench.teaching.talk import lessons_of
from serve.session import Session
from train.likeness import likeness
from train.own_replies import ordinary_prompts
from train.probes import guard_prompts
from train.question_forms import other_wordings
from train.remembering import Remembered, best_of
from train.schedule import Exchange

LEAST_SCORES = (0.0, 2.8, 3.3, 3.8, 4.2)
# Of the ordinary prompts one in so many.
ORDINARY_EVERY = 2


def main() -> None:
    """Prints one line of JSON for every seed, or for every least score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["likeness", "scores"])
    parser.add_argument("--life", type=Path)
    parser.add_argument("--facts", type=int, default=100)
    parser.add_argument("--others", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.what == "likeness":
        for seed in range(3):
            lessons = Namespace(**{**vars(arguments), "seed": seed, "later": 0})
            print(json.dumps({"seed": seed, **found_by_likeness(lessons)}))
        return
    if arguments.life is None:
        parser.error("scores needs --life.")
    with Session.open(arguments.life, read_only=True) as session:
        facts = lessons_of(Namespace(**vars(arguments), later=0))[0]
        for record in at_least_scores(session, facts):
            print(json.dumps(record))


def found_by_likeness(arguments: Namespace) -> dict[str, float]:
    """The share of paraphrases that are most like their own fact's question."""
    facts, mixed, _ = lessons_of(arguments)
    lessons = [Exchange(lesson["say"], lesson["answer"]) for lesson in mixed]
    found = {True: list[bool](), False: list[bool]()}
    for fact in facts:
        own = lessons.index(Exchange(fact["say"], fact["answer"]))
        for wording in fact["paraphrases"]:
            nearest = int(np.argmax(likeness(wording, lessons)))
            found[bool(other_wordings(fact["say"]))].append(nearest == own)
    return {
        "all": float(np.mean([*found[True], *found[False]])),
        "in_a_set": float(np.mean(found[True])),
        "in_none": float(np.mean(found[False])),
    }


def at_least_scores(session: Session, facts):
    """What questions, untaught ones and other prompts call to mind, for each least score."""
    taught = {fact["say"] for fact in facts}
    asked = [(fact, wording) for fact in facts for wording in fact["paraphrases"]]
    untaught = [
        wording
        for fact in load_lines("facts")
        if fact["say"] not in taught
        for wording in (fact["say"], *fact["paraphrases"])
    ]
    keywords = [fact["keyword"] for fact in facts]
    bests = [best(session, wording) for _, wording in asked]
    right = [
        found is not None and holds(found.answer, fact["keyword"])
        for found, (fact, _) in zip(bests, asked, strict=True)
    ]
    new = [not is_rehearsed(fact["say"], wording) for fact, wording in asked]
    near = [best(session, say) for say in untaught]
    others = {
        "guard": [best(session, say) for say in guard_prompts()],
        "ordinary": [best(session, say) for say in ordinary_prompts()[::ORDINARY_EVERY]],
    }
    for least in LEAST_SCORES:
        said = [stands_out(found, least) for found in bests]
        yield {
            "least": least,
            "right": share_of(np.logical_and(said, right)),
            "wrong": share_of(np.logical_and(said, np.logical_not(right))),
            "right_new": share_of(np.logical_and(said, right)[new]),
            "untaught": share_of([stands_out(found, least) for found in near]),
            **{
                name: share_of([stands_out(one, least) and has_any(one, keywords) for one in found])
                for name, found in others.items()
            },
        }


def best(session: Session, say: str) -> Remembered | None:
    """The lesson with the highest score, whether it stands out or not."""
    typed = [item for item in session.state.memory.items if not item.pick]
    return best_of(session.state, session.life.tokenizer, say, typed)


def stands_out(found: Remembered | None, least: float) -> bool:
    """Whether something was found with at least that score."""
    return found is not None and found.score >= least


def has_any(found: Remembered | None, keywords: Sequence[str]) -> bool:
    """Whether what was found has one of these words."""
    return found is not None and any(holds(found.answer, word) for word in keywords)


def share_of(values) -> float | None:
    """The share of true values; None of none."""
    return float(np.mean(values)) if len(values) else None


if __name__ == "__main__":
    main()
