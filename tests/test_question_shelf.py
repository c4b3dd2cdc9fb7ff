"""The generated conversations about what a person tells, and small talk."""

from itertools import islice

import pytest

from bench.question_shelf import FormDraw, conversations, find_clause, unflip
from train.question_forms import question_forms


def test_conversations_are_by_turns_complete_and_the_same_again():
    found = list(conversations(1, 200_000))
    assert found == list(conversations(1, 200_000))
    assert found != list(conversations(2, 200_000))
    for turns in found:
        assert turns and len(turns) % 2 == 0
        assert not any("{" in turn or "\n" in turn or not turn.strip() for turn in turns)


def test_what_was_told_is_what_is_answered():
    draw = FormDraw(3)
    for _ in range(200):
        turns = draw.told()
        answers = turns[1::2]
        assert turns[-1] in answers[:-1]


def test_the_town_never_changes():
    draw, told = FormDraw(5), {}
    for _ in range(1500):
        turns = draw.town()
        for asked, answer in zip(turns[::2], turns[1::2], strict=True):
            assert told.setdefault(asked, answer) == answer
    assert len(told) > 2000


def test_all_wordings_of_a_question_name_the_same_thing_as_unknown():
    form = next(form for form in question_forms() if form.topic == "where a person lives")
    draw = FormDraw(1)
    replies = {draw.do_not_know(form, {"who": "my sister"}) for _ in range(100)}
    assert "I do not know where your sister lives." in replies
    assert all("where your sister lives" in reply for reply in replies)
    assert find_clause(form) == "where {who} lives"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("Your sister lives in York.", "My sister lives in York."),
        ("You are allergic to nuts.", "I am allergic to nuts."),
        ("Anna gave you a map.", "Anna gave me a map."),
        ("You were born where you live.", "I was born where I live."),
    ],
)
def test_an_answer_becomes_what_the_person_says(answer, said):
    assert unflip(answer) == said


def test_kinds_of_conversations_all_come():
    turns = list(islice(conversations(1, 10**9), 400))
    said = " ".join(reply for conversation in turns for reply in conversation[1::2])
    assert "You have not told me" in said and "I do not know" in said
