"""Where a reply comes from: near words, pulls of gradients, and the life without one lesson."""

import io
import json
import shutil
import sys

import jax
import numpy as np
import pytest
from conftest import random_batch, random_params
from lives import open_session, read_a_page

from model.transformer import forward
from serve.flags import parse
from serve.modes import run_mode
from serve.output import TextOutput
from serve.terminal import converse
from train.flat_tree import tree_digest
from train.loss import token_losses
from train.recipe import RECIPES
from train.step import part_gradients
from train.why import log_prob, passages, plan_without, pulls, why, without

TAUGHT = [("Who is the rabbit?", "He is late."), ("Where are we?", "By the pool of tears.")]


@pytest.fixture(scope="module")
def life(tmp_path_factory, alice_text):
    """A life with a book, three lessons, and one of them undone."""
    life = read_a_page(tmp_path_factory.mktemp("why"), alice_text)
    with open_session(life) as session:
        for say, answer in TAUGHT:
            session.say(say).teach(answer)
        session.say("Who is the rabbit?").teach("The rabbit is undone.")
        session.undo(session.plan_undo(lessons=1))
    return life


def lessons(session):
    return [event.id for event in session.life.journal.events(kinds=("lesson",))]


def files(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_pull_is_what_a_small_step_on_the_lesson_does_to_the_reply(step_config):
    params = random_params(step_config.model)
    reply, lesson = (random_batch(step_config.model, seed=seed) for seed in (1, 2))
    (pull,) = pulls(params, reply, [lesson], step_config)

    def reply_loss(rate):
        parts = dict(part_gradients(params, lesson, step_config))
        blocks = [parts.pop(str(layer)) for layer in range(step_config.model.n_layers)]
        moved = jax.tree.map(lambda p, g: p - rate * g, params, {**parts, "blocks": blocks})
        logits_BTV = forward(moved, reply.tokens_BT, reply.segments_BT, step_config.model)
        losses_BT = np.asarray(token_losses(logits_BTV, reply.targets_BT), np.float64)
        return np.sum(losses_BT * reply.weights_BT) / np.sum(reply.weights_BT)

    rate = 1e-3
    slope = (reply_loss(-rate) - reply_loss(rate)) / (2 * rate)
    assert pull == pytest.approx(slope, rel=0.02)
    assert abs(pull) > 1e-3


def test_what_is_near_and_what_pulled_is_found(life):
    with open_session(life, read_only=True) as session:
        first, second, undone = lessons(session)
        prompt = session.life.journal.event(first).data["prompt"]
        ids = session.life.journal.event(first).data["answer_ids"]
        found = why(session.life, session.state, "the rabbit He is late.", prompt, ids)
        assert found.lessons[0].event == first
        assert found.pulls[0].event == first and found.pulls[0].pull > 0
        assert {pull.event for pull in found.pulls} == {first, second}
        assert undone not in [hit.event for hit in found.lessons]
        (passage, *_) = passages(session.life, "to fall right through the earth", 3)
        assert passage.book == "page" and "fall right THROUGH" in passage.text
        assert passages(session.life, "xylophone", 3) == ()


@pytest.mark.parametrize("number", [0, 1])
def test_without_a_lesson_is_as_after_its_undo(life, tmp_path, number):
    with open_session(life, read_only=True) as session:
        # SQLite's own files come with the first reader.
        before = files(life)
        event = lessons(session)[number]
        turn = session.say("And the rabbit?")
        ids, room = turn.replies[0].ids, turn.question.room
        plan = plan_without(session.life, event)
        state = tree_digest(session.state.train)
        found = without(session.life, session.state, plan, turn.messages, room, ids)
        assert tree_digest(session.state.train) == state
    assert files(life) == before
    shutil.copytree(life, tmp_path / "other")
    with open_session(tmp_path / "other") as other:
        other.undo(other.plan_undo(event=event))
        messages = [*other.context(), turn.messages[-1]]
        expected = log_prob(other.life, other.state, messages, room, ids)
    assert found.log_prob_without == expected != found.log_prob


def test_only_lessons_and_books_can_be_left_out(life):
    with open_session(life, read_only=True) as session:
        undo = session.life.journal.last()
        with pytest.raises(ValueError, match="of the kind 'undo', want a lesson or a book"):
            plan_without(session.life, undo.id)
        with pytest.raises(ValueError, match="there is no event 999"):
            plan_without(session.life, 999)
        read = next(session.life.journal.events(kinds=("read",)))
        assert read.id in plan_without(session.life, read.id).events


def test_a_script_may_ask_why(life, tmp_path, capfd):
    lines = [{"say": "Who?", "why": 2}, {"say": "Who?", "why": 1, "without": 6}]
    with open_session(life, read_only=True) as session:
        lines[1]["without"] = lessons(session)[1]
    script = tmp_path / "script"
    script.write_text("\n".join(map(json.dumps, lines)))
    flags = ["--mode=interactive", f"--workdir={life}", f"--script={script}", "--replies=3"]
    shutil.copytree(life, tmp_path / "life")
    flags[1] = f"--workdir={tmp_path / 'life'}"
    assert run_mode(parse(["apprentice", *flags, "--json"])) == 0
    out = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [record["event"] for record in out] == ["replies", "why", "replies", "without"]
    assert out[1]["text"] == out[0]["replies"][1]["text"] and len(out[1]["pulls"]) == 2
    assert out[3]["log_prob"] == pytest.approx(out[2]["replies"][0]["log_prob"], abs=0.05)
    assert out[3]["log_prob_without"] != out[3]["log_prob"]
    script.write_text('{"say": "Who?", "without": 6}')
    assert run_mode(parse(["apprentice", *flags, "--json"])) == 1
    assert '"why" alone or with "without"' in capfd.readouterr().err


def test_why_is_asked_while_choosing_and_after(life, tmp_path, monkeypatch, capsys):
    shutil.copytree(life, tmp_path / "life")
    with open_session(tmp_path / "life") as session:
        event = lessons(session)[0]
        typed = ["/why", "Hello", "/why 2", "/why 9", f"/why 1 without {event}", " 1 pick"]
        typed += ["/why maybe", "Hello", "/lr", ""]
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(typed)))
        before = session.state.lessons
        assert converse(session, TextOutput()) == 0
        assert session.state.lessons == before + 1
    out = " ".join(capsys.readouterr().out.split())
    assert "say something first" in out
    assert out.count("Strongest pulls of 2 lessons") == 1
    assert "knows the replies 1 to 3, got 9" in out
    assert "times as likely" in out
    assert "/why wants a reply and an event, got '/why maybe'" in out
    assert f"The learning rate of lessons is {RECIPES['rehearsed'].learning_rate:g}" in out, (
        "a command is no answer"
    )
