import numpy as np
import pytest

from train.wording import content_words, normalized, reword

QUESTIONS = ("What is my cat called?", "Where do I keep the spare key?", "Is it Tuesday?")


def draws(seed=0):
    return np.random.Generator(np.random.Philox(key=seed))


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_content_word_is_lost(question):
    generator = draws()
    for _ in range(200):
        said = normalized(reword(question, generator)).split()
        assert content_words(question) <= set(said)


def test_a_question_gets_many_wordings_and_the_same_ones_again():
    once, again = draws(), draws()
    wordings = [reword(QUESTIONS[0], once) for _ in range(50)]
    assert wordings == [reword(QUESTIONS[0], again) for _ in range(50)]
    assert len(set(wordings)) > 20


@pytest.mark.parametrize("text", ["Hello", "?!", "..."])
def test_what_has_no_frame_stays(text):
    assert reword(text, draws()) == text


def test_normalized_ignores_case_marks_and_kinds_of_apostrophe():
    assert normalized("What’s  MY cat's name?!") == "what's my cat's name"


def test_content_is_what_a_question_is_about():
    assert content_words("What is the name of my cat?") == {"name", "my", "cat"}
    assert content_words("Can you tell me where my cat is?") == {"you", "me", "my", "cat"}
