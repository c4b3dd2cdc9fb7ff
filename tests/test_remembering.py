"""A question calls a taught answer to mind, in other words too, and others do not."""

import dataclasses
import math
import shutil

import pytest
from lives import READING, new_life, open_session, write_book

from train.recipe import Recipe
from train.remembering import answer_nats, best_of, remember
from train.step import batch_losses

QUICK = Recipe(
    learning_rate=1e-2, rehearsals=6, windows=2, own=0, readings=0, chats=0.0, reworded=0.0
)
LESSONS = {
    "What is my cat called?": "Your cat is called Dinah.",
    "Where is my hat?": "Your hat is on the shelf.",
    "Who paints the roses?": "The roses are painted by three gardeners.",
}


@pytest.fixture(scope="module")
def taught_life(tmp_path_factory, alice_text):
    """A life that has read a page and knows three answers by heart."""
    workdir = tmp_path_factory.mktemp("taught") / "life"
    new_life(workdir, alice_text)
    with open_session(workdir) as session:
        for _ in session.read([write_book(workdir.parent, alice_text)], READING):
            pass
        session.recipe = QUICK
        for say, answer in LESSONS.items():
            session.say(say).teach(answer)
        session.sleep(60)
    return workdir


@pytest.fixture
def session(taught_life, tmp_path):
    shutil.copytree(taught_life, tmp_path / "life")
    with open_session(tmp_path / "life") as session:
        session.forget_context()
        session.sampling = dataclasses.replace(session.sampling, remember=True)
        yield session


@pytest.mark.parametrize(
    ("say", "answer"),
    [
        *LESSONS.items(),
        ("My hat, where?", "Your hat is on the shelf."),
        ("Where have I my hat?", "Your hat is on the shelf."),
    ],
)
def test_the_first_reply_is_the_taught_answer_that_the_words_call_to_mind(session, say, answer):
    first, *others = session.say(say).replies
    assert first.remembered and first.text == answer
    assert not any(reply.remembered for reply in others) and len(others) == 2


@pytest.mark.parametrize("say", ["Good morning.", "Alice was beginning to get very tired"])
def test_words_that_ask_for_nothing_taught_call_nothing_to_mind(session, say):
    assert not any(reply.remembered for reply in session.say(say).replies)


def test_nothing_is_remembered_where_it_is_not_wanted_or_was_never_typed(session):
    session.sampling = dataclasses.replace(session.sampling, remember=False)
    assert not any(reply.remembered for reply in session.say("Where is my hat?").replies)
    picks = tuple(i._replace(pick=True) for i in session.state.memory.items)
    memory = session.state.memory._replace(items=picks)
    state = session.state._replace(memory=memory)
    assert remember(state, session.life.tokenizer, "Where is my hat?") is None


def test_the_other_replies_are_those_that_would_have_been_drawn_without_it(session):
    remembering = session.say("Where is my hat?").replies
    session.undo(session.plan_undo(event=session.state.event))
    session.sampling = dataclasses.replace(session.sampling, remember=False)
    assert remembering[1:] == session.say("Where is my hat?").replies[1:]


def test_a_remembered_reply_that_is_picked_is_taught_to_these_words(session):
    lesson = session.say("Where have I my hat?").pick(1)
    assert (lesson.kind, lesson.answer) == ("teach", "Your hat is on the shelf.")
    assert [i.said.say for i in session.state.memory.items][-1] == "Where have I my hat?"


def test_the_score_is_that_of_the_whole_answer_after_the_question_alone(session):
    tokenizer, state = session.life.tokenizer, session.state
    say, answer = "Where is my hat?", LESSONS["Where is my hat?"]
    found = best_of(state, tokenizer, say, state.memory.items)
    assert found is not None and found.answer == answer
    (nats,) = answer_nats(state, tokenizer, [(say, answer)])
    assert nats is not None and math.isclose(found.log_prob, -nats, rel_tol=1e-3)
    assert answer_nats(state, tokenizer, [(say, "word " * 500), (say, answer)])[0] is None


def test_answers_are_scored_in_as_few_rows_as_hold_them(session, monkeypatch):
    rows = []

    def seen(params, batch, config):
        rows.append(len(batch.tokens_BT))
        return batch_losses(params, batch, config)

    monkeypatch.setattr("train.remembering.batch_losses", seen)
    exchange = ("Where is my hat?", "Your hat is on the shelf.")
    found = [answer_nats(session.state, session.life.tokenizer, [exchange] * n) for n in (1, 3, 8)]
    assert rows[0] == 2 < rows[1] < rows[2] == 8
    for nats in found:
        assert nats == pytest.approx([found[0][0]] * len(nats), rel=1e-3)
