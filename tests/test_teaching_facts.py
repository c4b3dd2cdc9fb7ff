"""The facts that lessons are measured with can be found in their own answers, and in no others."""

import pytest

from bench.teaching.probes import holds, load_lines
from train.wording import normalized

FACTS, CORRECTIONS = load_lines("facts"), load_lines("corrections")


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact["keyword"])
def test_a_fact_has_its_keyword_in_its_answer_and_asks_in_other_words(fact):
    assert holds(fact["answer"], fact["keyword"])
    wordings = {normalized(wording) for wording in [fact["say"], *fact["paraphrases"]]}
    assert len(wordings) == 3
    assert not any(holds(wording, fact["keyword"]) for wording in wordings)


@pytest.mark.parametrize("fact", CORRECTIONS, ids=lambda fact: fact["keyword"])
def test_a_correction_has_each_keyword_in_its_own_answer_alone(fact):
    for answer, keyword, other in (
        (fact["answer"], fact["keyword"], fact["new_keyword"]),
        (fact["new_answer"], fact["new_keyword"], fact["keyword"]),
    ):
        assert holds(answer, keyword) and not holds(answer, other)
