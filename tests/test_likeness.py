"""Questions that ask the same are alike, whatever their words; others are not."""

import pytest

from train.likeness import likeness
from train.schedule import Exchange

TAUGHT = [
    Exchange("Where does Anna live?", "Anna lives in Leeds."),
    Exchange("Where does Ben live?", "Ben lives in York."),
    Exchange("What is Anna's job?", "Anna is a baker."),
    Exchange("What does Ben do for a living?", "Ben is a nurse."),
    Exchange("What is my dog called?", "Your dog is called Rex."),
    Exchange("How old am I?", "You are forty."),
    Exchange("What car do I drive now?", "You drive an old Volvo."),
]


def nearest(say):
    alike = likeness(say, TAUGHT)
    return TAUGHT[alike.index(max(alike))].answer


@pytest.mark.parametrize(
    ("say", "answer"),
    [
        ("Which town is Ben's home in?", "Ben lives in York."),
        ("In what place has Anna settled?", "Anna lives in Leeds."),
        ("What does Anna do to pay the bills?", "Anna is a baker."),
        ("Which vehicle is mine?", "You drive an old Volvo."),
        ("My age, please?", "You are forty."),
        ("Who is Rex?", "Your dog is called Rex."),
    ],
)
def test_the_question_that_asks_the_same_is_the_most_alike(say, answer):
    assert nearest(say) == answer


def test_it_is_nearly_one_for_the_same_words_and_nothing_without_any_in_common():
    alike = likeness("What is my dog called?", TAUGHT)
    assert alike[4] > 0.8 and all(-1e-6 <= value <= 1 + 1e-6 for value in alike)
    assert likeness("Bonjour!", TAUGHT) == [0.0] * len(TAUGHT)
    assert likeness("", TAUGHT) == [0.0] * len(TAUGHT)
    assert likeness("How old am I?", []) == []


def test_of_words_in_no_set_one_that_few_lessons_have_counts_more():
    said = ["Wo wohnt Anselm?", "Wo wohnt Bertram?", "Wo wohnt Kunigunde?"]
    anselm, bertram, _ = likeness("Anselm wohnt doch", [Exchange(say, "Ulm.") for say in said])
    assert anselm > 2 * bertram > 0


def test_a_word_of_the_answer_counts_less_than_one_of_the_question():
    of_question, of_answer = likeness(
        "Rumpelstilzchen?",
        [Exchange("Rumpelstilzchen?", "Yes."), Exchange("Yes?", "Rumpelstilzchen.")],
    )
    assert of_question > of_answer > 0
