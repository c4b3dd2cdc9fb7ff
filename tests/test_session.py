"""A lesson is one step, is kept, and comes back from the journal to the bit."""

import shutil
import threading

import numpy as np
import pytest
from lives import open_session, read_a_page

from model.chat import Message, encode_answer, encode_prompt
from train.flat_tree import tree_digest
from train.lesson import Question, give_lesson
from train.recipe import Recipe
from train.rehearsal import answer_batch


@pytest.fixture(scope="module")
def born(tmp_path_factory, alice_text):
    """A life that has read a page."""
    return read_a_page(tmp_path_factory.mktemp("born"), alice_text)


@pytest.fixture
def workdir(born, tmp_path):
    shutil.copytree(born, tmp_path / "life")
    return tmp_path / "life"


def test_replies_are_drawn_by_key_and_differ(workdir):
    with open_session(workdir) as session:
        first = session.say("Hello")
        second = session.say("Hello")
    assert len(first.replies) == 3
    assert len({reply.text for reply in first.replies}) > 1
    assert first.replies != second.replies
    assert all(reply.log_prob < 0 for reply in first.replies)


def test_the_same_life_says_the_same(born, tmp_path):
    said = []
    for name in ("a", "b"):
        shutil.copytree(born, tmp_path / name)
        with open_session(tmp_path / name) as session:
            said.append(session.say("Hello").replies)
    assert said[0] == said[1]


def test_a_reply_has_the_probability_that_the_model_gives_it(workdir):
    from model.transformer import forward

    with open_session(workdir) as session:
        turn = session.say("Hello")
        config, params = session.state.config, session.state.train.params
        tokenizer = session.life.tokenizer
        for reply in turn.replies:
            ids = [*turn.question.prompt, *reply.ids]
            ids += [tokenizer.turn_end] if reply.ended else []
            tokens_BT = np.asarray([ids[:-1]], np.int32)
            logits = forward(params, tokens_BT, np.zeros_like(tokens_BT), config.model)[0]
            log_probs = np.asarray(logits - np.log(np.sum(np.exp(logits), -1, keepdims=True)))
            start = len(turn.question.prompt) - 1
            rows = range(start, len(ids) - 1)
            expected = sum(log_probs[row, ids[row + 1]] for row in rows)
            np.testing.assert_allclose(reply.log_prob, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["pick", "teach"])
def test_a_lesson_is_one_step_towards_the_answer(workdir, kind):
    with open_session(workdir) as session:
        session.recipe = Recipe(learning_rate=1e-2, read_share=0.1, rehearsals=2)
        before = tree_digest(session.state.train)
        turn = session.say("Who are you?")
        lesson = turn.pick(2) if kind == "pick" else turn.teach("I am yours.")
        assert lesson.loss_after < lesson.loss_before
        assert lesson.p_after > lesson.p_before
        assert lesson.answer == (turn.replies[1].text if kind == "pick" else "I am yours.")
        assert tree_digest(session.state.train) != before
        assert session.state.lessons == 1
        counts = [int(block[1].count) for block in session.state.train.opt_state["blocks"]]
        # A picked reply calls for no rehearsals.
        rehearsals = session.recipe.rehearsals if kind == "teach" else 0
        assert counts == [session.state.steps + 1 + rehearsals] * 2


def test_everything_is_there_tomorrow(workdir):
    with open_session(workdir) as session:
        session.say("Hello").pick(1)
        session.say("Who are you?").teach("I am yours.")
        digest = tree_digest(session.state.train)
    with open_session(workdir) as session:
        assert tree_digest(session.state.train) == digest
        assert session.state.lessons == 2
        assert session.context()[-2:] == [
            Message("user", "Who are you?"),
            Message("assistant", "I am yours."),
        ]
        (hit,) = session.life.journal.search("yours")
        assert hit.answer == "I am yours."


def test_lessons_come_back_without_any_checkpoint(workdir):
    with open_session(workdir) as session:
        session.say("Hello").pick(1)
        digest = tree_digest(session.state.train)
    shutil.rmtree(workdir / "checkpoints")
    told = []
    with open_session(workdir, say=told.append) as session:
        assert tree_digest(session.state.train) == digest
    assert any("replaying" in sentence for sentence in told)


def test_a_lesson_after_its_row_needs_no_goodbye(workdir):
    """The process ends without closing: the row is enough."""
    session = open_session(workdir)
    session.say("Hello").pick(1)
    digest = tree_digest(session.state.train)
    session.life.close()
    with open_session(workdir) as session:
        assert tree_digest(session.state.train) == digest


def test_a_failed_journal_leaves_the_model_as_it_was(workdir, monkeypatch):
    with open_session(workdir) as session:
        turn = session.say("Hello")
        digest = tree_digest(session.state.train)

        def refuse(*_, **__):
            raise ValueError("the journal could not be written: disk full")

        with monkeypatch.context() as patch:
            patch.setattr(type(session.life.journal), "append", refuse)
            with pytest.raises(ValueError, match="could not be written"):
                turn.pick(1)
        assert tree_digest(session.state.train) == digest
        assert session.state.lessons == 0
        turn.pick(1)
        assert session.state.lessons == 1


def test_an_interrupted_lesson_leaves_the_model_as_it_was(workdir, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with open_session(workdir) as session:
        turn = session.say("Hello")
        digest = tree_digest(session.state.train)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            # The step has used up the old arrays by then.
            patch.setattr("train.lesson._answer_losses", interrupt)
            turn.pick(1)
        assert tree_digest(session.state.train) == digest
        turn.pick(1)


def test_a_checkpoint_is_made_while_nobody_waits(workdir, monkeypatch):
    monkeypatch.setattr("serve.autosave.SECONDS_PER_CHECKPOINT", 0.0)
    with open_session(workdir) as session:
        session.say("Hello").teach("Good day.")
        before = session.life.journal.checkpoints()
        for _ in session.stream("Hello"):
            assert session.life.journal.checkpoints() == before
        session.settle()
        assert len(session.life.journal.checkpoints()) == len(before) + 1


def test_own_replies_are_taken_while_the_replies_are_read(born, tmp_path, monkeypatch):
    """They are those that the lesson would have taken itself, and leaving does not wait."""
    digests = []
    for name in ("while reading", "with the lesson"):
        shutil.copytree(born, tmp_path / name)
        with open_session(tmp_path / name) as session:
            session.settle()
            assert session._ahead is None
            turn = session.say("Hello")
            if name == "while reading":
                session.close_lessons()
                session.settle()
                assert session._ready().memory.own is None
                session._leaving, session._next_is_a_lesson, session._ahead = False, True, None
                session.settle()
                assert session.state.memory.own is None
                monkeypatch.setattr("train.own_replies.own_replies", pytest.fail)
                session.settle()
            turn.teach("Good day.")
            monkeypatch.undo()
            digests.append(tree_digest(session.state.train))
    assert digests[0] == digests[1]


def test_nothing_made_ahead_outlives_its_weights(workdir):
    """Own replies are those of the weights before the lesson, whatever was undone since."""
    with open_session(workdir) as session:
        for change in (
            lambda: session.undo(session.plan_undo(lessons=1)),
            lambda: session.sleep(1),
        ):
            session.say("Hello").teach("Good day.")
            session.say("Hello")
            session.settle()
            assert session._ahead is not None
            change()
            assert session._ahead is None


def test_a_lesson_is_not_settled_under_its_hands(workdir, monkeypatch):
    """Another thread that settles waits until the lesson is over."""
    during, learning = [], threading.Event()
    with open_session(workdir) as session:
        turn = session.say("Hello")
        thread = threading.Thread(target=session.settle)

        def lesson(*arguments):
            learning.set()
            thread.start()
            thread.join(0.2)
            learned = give_lesson(*arguments)
            learning.clear()
            return learned

        def saved(*_):
            during.append(learning.is_set())

        monkeypatch.setattr("serve.session.give_lesson", lesson)
        monkeypatch.setattr(session._autosave, "save_when_due", saved)
        turn.teach("Good day.")
        thread.join()
        assert during == [False]
        assert session.state.owed is None and session.state.lessons == 1


def test_a_turn_is_taught_once(workdir):
    with open_session(workdir) as session:
        turn = session.say("Hello")
        turn.pick(1)
        with pytest.raises(ValueError, match="already was a lesson"):
            turn.pick(1)


@pytest.mark.parametrize("number", [0, 4, -1])
def test_a_pick_out_of_range_is_refused(workdir, number):
    with open_session(workdir) as session, pytest.raises(ValueError, match="from 1 to 3"):
        session.say("Hello").pick(number)


@pytest.mark.parametrize(("answer", "words"), [
    ("  ", "must hold some words"),
    ("long " * 90, "shorten the answer"),
])  # fmt: skip
def test_an_answer_that_cannot_be_taught_is_refused(workdir, answer, words):
    with open_session(workdir) as session:
        turn = session.say("Hello")
        digest = tree_digest(session.state.train)
        with pytest.raises(ValueError, match=words):
            turn.teach(answer)
        assert tree_digest(session.state.train) == digest


def test_a_long_answer_pushes_the_conversation_out_of_the_prompt(workdir):
    with open_session(workdir) as session:
        session.say("Hello").teach("Yes.")
        turn = session.say("Who?")
        lesson = turn.teach("A longer answer, so that little else has room.")
        assert lesson.loss_before > 0
        (*_, event) = session.life.journal.events(kinds=("lesson",))
        assert len(event.data["prompt"]) < len(turn.question.prompt)


def test_only_the_answer_and_its_end_mark_are_targets(tokenizer):
    prompt = encode_prompt(tokenizer, [Message("user", "Hello")], 40)
    answer = encode_answer(tokenizer, "Yes.")
    batch = answer_batch(prompt, answer, 64)
    counted = batch.targets_BT[batch.weights_BT > 0]
    assert counted.tolist() == answer
    assert answer[-1] == tokenizer.turn_end


def test_the_owner_may_edit_the_context_file(workdir):
    with open_session(workdir) as session:
        session.life.context_file.write_text("user: I am Ada.\nassistant: Hello Ada.\n")
        turn = session.say("Who?")
        assert "Hello Ada." in session.life.tokenizer.decode(turn.question.prompt)
        session.forget_context()
        assert "Ada" not in session.life.tokenizer.decode(session.say("Who?").question.prompt)


def test_a_full_context_is_cut_from_the_front(workdir):
    with open_session(workdir) as session:
        for _ in range(6):
            session.say("Hello").teach("Yes.")
        assert len(session.context()) < 12
        assert session.context()[-1] == Message("assistant", "Yes.")


def test_a_reader_may_look_but_not_teach(workdir):
    with open_session(workdir) as writer, open_session(workdir, read_only=True) as reader:
        assert tree_digest(reader.state.train) == tree_digest(writer.state.train)
        turn = reader.say("Hello")
        with pytest.raises(ValueError, match="only reads"):
            turn.pick(1)


def test_a_lesson_can_be_given_from_plain_functions(workdir):
    with open_session(workdir) as session:
        prompt = encode_prompt(session.life.tokenizer, [Message("user", "Hello")], 20)
        question = Question("Hello", prompt)
        session.state, lesson = give_lesson(
            session.life, session.state, question, "Yes.", "teach", Recipe(learning_rate=1e-2)
        )
        assert lesson.loss_after < lesson.loss_before
