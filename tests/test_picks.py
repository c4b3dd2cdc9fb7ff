"""A picked reply against the others that it was preferred to."""

import dataclasses
import shutil

import numpy as np
import pytest
from lives import new_life, open_session
from test_rehearsal import CONTEXT, draws

from model.chat import Message, encode_answer, encode_prompt
from train.flat_tree import tree_digest
from train.probes import probe, probe_batch
from train.recipe import Recipe
from train.rehearsal import answer_document, lesson_rehearsal, make_shelf
from train.schedule import Exchange

PICK = Recipe(learning_rate=3e-3, windows=2, old=0, own=0, readings=0, contrast=1.0, rehearsals=0)


def batch_of(tokenizer, unwanted, contrast):
    recipe = dataclasses.replace(PICK, readings=1, contrast=contrast)
    said = Exchange("Who are you?", "I am Ada.")
    prompt = encode_prompt(tokenizer, [Message("user", said.say)], CONTEXT)
    lesson = answer_document(prompt, encode_answer(tokenizer, said.answer))
    return lesson_rehearsal(
        lesson,
        said,
        (),
        (),
        make_shelf([]),
        tokenizer,
        CONTEXT,
        0,
        recipe,
        draws(),
        unwanted=unwanted,
    ).batch


@pytest.mark.parametrize("contrast", [0.5, 1.0])
def test_the_others_weigh_together_so_many_times_as_much_against(tokenizer, contrast):
    weights_BT = batch_of(tokenizer, ("Nobody.", "A very old man."), contrast).weights_BT
    # The lesson comes twice: in its conversation and alone.
    wanted = np.sum(weights_BT, where=weights_BT > 0) / 2
    assert np.sum(weights_BT, where=weights_BT < 0) == pytest.approx(-contrast * wanted, rel=1e-5)
    assert np.all(batch_of(tokenizer, (), contrast).weights_BT >= 0)


def nats(session, say, answer):
    life, state = session.life, session.state
    prompt = encode_prompt(life.tokenizer, [Message("user", say)], 40)
    ids = encode_answer(life.tokenizer, answer)
    return probe(state, probe_batch(life.tokenizer, prompt, ids, state.config.model.context)).loss


@pytest.fixture
def life(tmp_path, alice_text):
    new_life(tmp_path / "life", alice_text)
    return tmp_path / "life"


def test_a_pick_makes_the_others_less_likely_and_is_lived_again(life):
    with open_session(life) as session:
        session.recipe = PICK
        turn = session.say("Who?")
        first, other = turn.replies[0].text, turn.replies[1].text
        assert first.strip() != other.strip()
        before = nats(session, "Who?", first), nats(session, "Who?", other)
        lesson = turn.pick(1)
        after = nats(session, "Who?", first), nats(session, "Who?", other)
        assert after[0] < before[0] and after[1] - before[1] > after[0] - before[0]
        data = session.life.journal.event(lesson.event).data
        assert other in data["unwanted"] and first not in data["unwanted"]
        digest = tree_digest(session.state.train)
    shutil.rmtree(life / "checkpoints")
    with open_session(life) as session:
        assert tree_digest(session.state.train) == digest


def test_only_typed_lessons_call_for_rehearsals(life):
    with open_session(life) as session:
        session.recipe = dataclasses.replace(PICK, old=4, rehearsals=2)
        session.say("Who?").pick(1)
        assert [item.exposures for item in session.state.memory.items] == [1]
        session.say("My cat?").teach("Dinah.")
        assert [item.exposures for item in session.state.memory.items][1] == 3


def test_a_typed_answer_has_nothing_against_it(life):
    with open_session(life) as session:
        session.recipe = PICK
        lesson = session.say("Who?").teach("Alice.")
        assert "unwanted" not in session.life.journal.event(lesson.event).data


def test_a_pick_that_was_likely_already_counts_less(life):
    with open_session(life) as session:
        session.recipe = dataclasses.replace(PICK, pick_nats=1e3)
        lesson = session.say("Who?").pick(1)
        data = session.life.journal.event(lesson.event).data
        assert data["weight"] == pytest.approx(lesson.loss_before / 1e3)
        session.recipe = PICK
        lesson = session.say("Where?").pick(1)
        assert "weight" not in session.life.journal.event(lesson.event).data
