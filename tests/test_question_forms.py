"""A question that belongs to a set of wordings is asked in another one of the set."""

import numpy as np
import pytest

from train.question_forms import ask_otherwise, fill, question_forms, read_question_forms
from train.wording import normalized


def draws(seed=0):
    return np.random.Generator(np.random.Philox(key=seed))


def wordings(question, count=100):
    generator = draws()
    return {ask_otherwise(question, generator) for _ in range(count)}


def test_a_question_comes_in_the_other_wordings_of_its_set():
    found = wordings("Where does my sister live?")
    assert "In which town does my sister live?" in found
    assert "I want to visit my sister. Which town must I go to?" in found
    assert len(found) > 6
    assert normalized("Where does my sister live?") not in map(normalized, found)


def test_case_marks_and_owners_are_found_and_kept():
    assert "What is Anna Lee's job?" in wordings("what does Anna Lee do for a living")
    assert "What does my neighbour's son work as?" in wordings("What is my neighbour's son's job?")


def test_the_closest_set_counts():
    """The key's own set, and not the one of where any thing is kept."""
    found = wordings("Where did I hide the spare key?")
    assert found <= {None} or all("key" in wording for wording in found)


def test_the_same_draws_give_the_same_wordings():
    once, again = draws(3), draws(3)
    question = "Where was I born?"
    first = [ask_otherwise(question, once) for _ in range(20)]
    assert first == [ask_otherwise(question, again) for _ in range(20)]
    assert len(set(first)) > 3


@pytest.mark.parametrize("text", ["", "?", "Hello.", "Why is the sky blue?"])
def test_what_is_in_no_set_has_no_other_wording(text):
    assert ask_otherwise(text, draws()) is None


def test_every_wording_is_found_again():
    """Each wording that comes with the program is asked otherwise, whatever stands in its slots."""
    generator = draws()
    slots = {"who": "my uncle", "thing": "the old boat", "what": "bread"}
    for form in question_forms():
        for ask in form.asks:
            question = fill(ask, slots)
            assert "{" not in question
            assert ask_otherwise(question, generator), question


@pytest.mark.parametrize(
    "text",
    [
        "Where am I?\nWhere was I?\n= Here.",
        "# place\nWhere am I?\n= Here.",
        "# place\nWhere am I?\nWhere was I?",
        "# place\nWhere is {thing}?\nWhere was I?\n= Here.",
    ],
)
def test_a_set_that_lacks_something_is_refused(text):
    with pytest.raises(ValueError, match="set"):
        read_question_forms(text)
