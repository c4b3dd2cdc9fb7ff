"""Facts that are contradicted later: which answer is given, and how soon the new one."""

import numpy as np

from bench.teaching.probes import (
    ask,
    exposure_counts,
    exposures,
    holds,
    keyword_share,
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
    talk, within = Talk(session, recipe), dict[str, tuple[bool, bool]]()
    for name, start in (("answer", 0), ("new_answer", arguments.others)):
        taught = []
        for number in draws.permutation(len(facts)):
            talk.teach(facts[number]["say"], facts[number][name])
            taught.append(facts[number])
            if name == "new_answer":
                within |= early_answers(session, taught)
        for lesson in others[start : start + arguments.others]:
            talk.teach(lesson["say"], lesson["answer"])
        found = ask(session, [fact["say"] for fact in facts])
        yield {
            "stage": name,
            "old": keyword_share(found, facts),
            "new": share(holds(a, f["new_keyword"]) for a, f in pairs(found, facts)),
            "exposures": exposures(session, facts),
        }
    yield {
        "stage": f"within {EARLY_EXPOSURES} exposures",
        "facts": len(within),
        "old": share(old for old, _ in within.values()),
        "new": share(new for _, new in within.values()),
    }


def early_answers(session: Session, facts) -> dict[str, tuple[bool, bool]]:
    """Of facts with few exposures yet, whether the old and the new answer are given."""
    counts = exposure_counts(session)
    facts = [fact for fact in facts if counts[normalized(fact["say"])] <= EARLY_EXPOSURES]
    found = ask(session, [fact["say"] for fact in facts])
    return {
        f["say"]: (holds(a, f["keyword"]), holds(a, f["new_keyword"]))
        for a, f in pairs(found, facts)
    }
