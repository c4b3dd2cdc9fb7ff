"""Facts that are contradicted later: which answer is given, and how soon the new one."""

import numpy as np

from bench.teaching.probes import (
    ask,
    ask_remembering,
    exposure_counts,
    exposures,
    holds,
    load_lines,
    pairs,
    share,
)
from bench.teaching.talk import Talk
from serve.session import Session
from train.recipe import Recipe
from train.wording import normalized

# Exposures within which a corrected fact is to have its new answer.
EARLY_EXPOSURES = 20


def teach_corrections(session: Session, recipe: Recipe, arguments):
    """Facts, other lessons, the facts contradicted, other lessons; which answer is given."""
    draws = np.random.default_rng(arguments.seed)
    facts = load_lines("corrections")
    others = load_lines("other")
    others = [others[i] for i in draws.permutation(len(others))]
    talk, within = Talk(session, recipe), dict[str, dict[str, bool]]()
    for name, start in (("answer", 0), ("new_answer", arguments.others)):
        taught = []
        for number in draws.permutation(len(facts)):
            talk.teach(facts[number]["say"], facts[number][name])
            taught.append(facts[number])
            if name == "new_answer":
                within |= early_answers(session, taught)
        for lesson in others[start : start + arguments.others]:
            talk.teach(lesson["say"], lesson["answer"])
        yield {
            "stage": name,
            **shares(which_answers(session, facts)),
            "exposures": exposures(session, facts),
        }
    yield {
        "stage": f"within {EARLY_EXPOSURES} exposures",
        "facts": len(within),
        **shares([*within.values()]),
    }


def early_answers(session: Session, facts) -> dict[str, dict[str, bool]]:
    """Of facts with few exposures yet, whether the old and the new answer are given."""
    counts = exposure_counts(session)
    facts = [fact for fact in facts if counts[normalized(fact["say"])] <= EARLY_EXPOSURES]
    return {fact["say"]: found for fact, found in pairs(facts, which_answers(session, facts))}


def which_answers(session: Session, facts) -> list[dict[str, bool]]:
    """Whether the old and the new answer are given, by the weights alone and as called to mind."""
    says = [fact["say"] for fact in facts]
    return [
        {
            f"{way}{age}": holds(answer, fact[keyword])
            for way, answer in (("", plain), ("remembering_", called))
            for age, keyword in (("old", "keyword"), ("new", "new_keyword"))
        }
        for fact, plain, called in pairs(facts, ask(session, says), ask_remembering(session, says))
    ]


def shares(found: list[dict[str, bool]]) -> dict[str, float | None]:
    """The share of facts for each thing that was looked at."""
    return {name: share(one[name] for one in found) for name in (found[0] if found else ())}
