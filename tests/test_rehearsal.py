import dataclasses
import shutil
import threading
import time
from functools import partial

import jax
import numpy as np
import pytest
from lives import READING, new_life, open_session, write_book

import serve.open_model
from model.chat import Message, encode_answer, encode_chat, encode_prompt
from train.answers import answer_all
from train.flat_tree import tree_digest
from train.own_replies import OwnReplies, ordinary_prompts, own_replies
from train.probes import guard_prompts, known_share, probe, probe_batch, retention
from train.recipe import RECIPES, Recipe
from train.rehearsal import answer_document, lesson_rehearsal, make_shelf, pack
from train.schedule import Exchange, taught
from train.windows import EncodedBook, EncodedDocument

CONTEXT = 128
QUICK = Recipe(
    learning_rate=1e-2, rehearsals=6, windows=2, own=0, readings=0, chats=0.0, reworded=0.0
)
OWN = (Exchange("Hello", "Good day."), Exchange("Where is my hat?", "I do not know."))


def draws(seed=0):
    return np.random.Generator(np.random.Philox(key=seed))


def some_items(count):
    items = ()
    for number in range(count):
        items, _ = taught(
            items, number + 2, Exchange(f"Where is thing {number}?", "Here."), 0, pick=False
        )
    return items


@pytest.fixture
def read(tokenizer):
    prose = np.array([tokenizer.document, *tokenizer.encode("The cat sat on the mat. " * 40)])
    talk, weights = encode_chat(tokenizer, [Message("user", "Hi"), Message("assistant", "Yes.")])
    documents = [EncodedDocument(prose, np.r_[0.0, np.ones(len(prose) - 1)])]
    # As much talk as prose.
    documents += [EncodedDocument(np.array(talk), np.array(weights))] * (len(prose) // len(talk))
    return make_shelf([EncodedBook("a book", "a", tuple(documents), ())])


def rehearse(tokenizer, read, recipe=RECIPES["rehearsed"], items=(), own=OWN, seed=0):
    said = Exchange("Who are you?", "I am Ada.")
    prompt = encode_prompt(tokenizer, [Message("user", said.say)], CONTEXT)
    lesson = answer_document(prompt, encode_answer(tokenizer, said.answer))
    return lesson_rehearsal(
        lesson, said, items, own, read, tokenizer, CONTEXT, 9, recipe, draws(seed)
    )


def texts(tokenizer, batch):
    """The documents of a batch as text, marks left out."""
    found = []
    for tokens_T, segments_T in zip(batch.tokens_BT, batch.segments_BT, strict=True):
        found += [tokenizer.decode(tokens_T[segments_T == n]) for n in np.unique(segments_T)]
    return [text for text in found if text.strip("\x00 ")]


def test_a_batch_holds_the_lesson_old_lessons_own_replies_prose_and_talk(tokenizer, read):
    # Seed 1 draws both kinds of windows of what was read.
    found = texts(tokenizer, rehearse(tokenizer, read, items=some_items(3), seed=1).batch)
    for words in ("I am Ada", "Here", "Good day", "The cat sat", "Yes"):
        assert any(words in text for text in found), words


def test_the_lesson_comes_with_and_without_the_conversation_before_it(tokenizer, read):
    batch = rehearse(tokenizer, read).batch
    assert sum("I am Ada" in text for text in texts(tokenizer, batch)) == 2


def test_the_answers_of_old_lessons_are_found_in_the_batch(tokenizer, read):
    rehearsal = rehearse(tokenizer, read, items=some_items(5))
    assert {answer.item for answer in rehearsal.answers} == set(range(5))
    want = encode_answer(tokenizer, "Here.")
    for answer in rehearsal.answers:
        got = rehearsal.batch.targets_BT[answer.row, answer.start : answer.stop]
        assert got.tolist() == want


def shares(tokenizer, rehearsal):
    """What the documents of a batch weigh, by the first of these words that they hold."""
    found = dict.fromkeys(("Ada", "Here", "Good", "not know", "cat", "Yes"), 0.0)
    batch = rehearsal.batch
    for row in zip(batch.targets_BT, batch.segments_BT, batch.weights_BT, strict=True):
        targets_T, segments_T, weights_T = row
        for number in np.unique(segments_T):
            here = segments_T == number
            text = tokenizer.decode(targets_T[here])
            word = next((word for word in found if word in text), None)
            if word is not None:
                found[word] += float(np.sum(weights_T[here]))
    return found


def test_lessons_own_replies_and_books_have_their_shares_of_the_loss(tokenizer, read):
    recipe = dataclasses.replace(RECIPES["rehearsed"], lesson_weight=3.0, chats=0.0, reworded=0.0)
    whole = shares(tokenizer, rehearse(tokenizer, read, recipe, items=some_items(4)))
    lessons = 1 - recipe.own_share - recipe.read_share
    assert whole["Ada"] == pytest.approx(lessons * 6 / 10, rel=1e-5)
    assert whole["Here"] == pytest.approx(lessons * 4 / 10, rel=1e-5)
    assert whole["Good"] + whole["not know"] == pytest.approx(recipe.own_share, rel=1e-5)
    assert whole["cat"] + whole["Yes"] == pytest.approx(recipe.read_share, rel=1e-5)
    few = dataclasses.replace(recipe, lesson_weight=0.5)
    alone = shares(tokenizer, rehearse(tokenizer, read, few))
    assert alone["Ada"] == pytest.approx(lessons / recipe.many, rel=1e-5)


def test_prose_and_talk_come_as_often_as_they_were_read(tokenizer, read):
    assert read.talk_share == pytest.approx(0.5, abs=0.02)
    for shelf, least, most in [
        (read, 0.4, 0.6),
        (read._replace(talk_share=0.9), 0.8, 1.0),
        (make_shelf([EncodedBook("a", "a", read.prose, ())]), 0.0, 0.0),
        (make_shelf([EncodedBook("a", "a", read.talks, ())]), 1.0, 1.0),
    ]:
        found = [shares(tokenizer, rehearse(tokenizer, shelf, seed=seed)) for seed in range(60)]
        talk = sum(part["Yes"] for part in found)
        whole = talk + sum(part["cat"] for part in found)
        assert whole == pytest.approx(60 * RECIPES["rehearsed"].read_share, rel=1e-4)
        assert least <= talk / whole <= most


def test_an_own_reply_to_what_was_taught_is_not_rehearsed(tokenizer, read):
    items, _ = taught((), 2, Exchange("where is MY hat", "On the shelf."), 0, pick=False)
    found = " ".join(texts(tokenizer, rehearse(tokenizer, read, items=items).batch))
    assert "On the shelf" in found
    assert "I do not know" not in found


def test_the_same_draws_give_the_same_batch(tokenizer, read):
    one, same, other = (
        rehearse(tokenizer, read, items=some_items(20), seed=seed).batch.tokens_BT
        for seed in (0, 0, 1)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_the_lesson_alone_is_one_row(tokenizer, read):
    batch = rehearse(tokenizer, read, RECIPES["seed"], items=some_items(3)).batch
    assert batch.tokens_BT.shape == (1, CONTEXT)
    assert [text.count("Ada") for text in texts(tokenizer, batch)] == [1]


def test_pieces_do_not_overlap_and_what_finds_no_room_is_left_out():
    pieces = [answer_document([1] * 10, [n] * 20) for n in range(2, 12)]
    rehearsal = pack(pieces, 2, 64)
    assert [(a.row, a.start, a.stop) for a in rehearsal.answers] == []
    batch = rehearsal.batch
    assert np.sum(batch.weights_BT) == 4 * 20
    assert [len(np.unique(row)) for row in batch.segments_BT] == [3, 3]
    assert np.sum(batch.tokens_BT == 6) == 0


def test_only_an_ordinary_rate_is_a_recipe():
    with pytest.raises(ValueError, match="positive number"):
        Recipe(learning_rate=float("nan"))


def test_a_large_model_rehearses_less():
    recipe = RECIPES["rehearsed"]
    assert [recipe.rehearsals_of(size) for size in (10**6, 51_950_720, 10**8, 10**9)] == [
        12,
        6,
        3,
        2,
    ]
    assert RECIPES["seed"].rehearsals_of(10**6) == 0


def test_many_rehearsals_are_at_a_lower_rate():
    recipe = RECIPES["rehearsed"]
    rates = [recipe.of_rehearsals(size).learning_rate for size in (10**6, 39 * 10**6, 10**8)]
    assert rates == pytest.approx([recipe.learning_rate * share for share in (1 / 2, 3 / 4, 1)])
    assert RECIPES["seed"].of_rehearsals(10**6) == RECIPES["seed"]


def test_prompts_that_ship_are_many_and_different():
    ordinary, guards = ordinary_prompts(), guard_prompts()
    assert len(set(ordinary)) == len(ordinary) == 400
    assert len(set(guards)) == len(guards) == 64
    assert not set(ordinary) & set(guards)


@pytest.fixture(scope="module")
def taught_life(tmp_path_factory, alice_text):
    """A life that has read a page and slept over one lesson and then had another."""
    workdir = tmp_path_factory.mktemp("taught") / "life"
    new_life(workdir, alice_text)
    with open_session(workdir) as session:
        book = write_book(workdir.parent, alice_text)
        for _ in session.read([book], READING):
            pass
        session.recipe = QUICK
        session.say("My cat?").teach("Dinah.")
        session.sleep(80)
        session.say("Who?").teach("Alice, said the Caterpillar.")
    return workdir


def test_answers_to_many_prompts_are_those_of_the_cached_decoder(taught_life):
    with open_session(taught_life, read_only=True) as session:
        session.life.context_file.unlink()
        session.sampling = dataclasses.replace(session.sampling, replies=1, temperature=0.0)
        life, config = session.life, session.state.config
        says = ["My cat?", "Who?", "Hello there", "What?"]
        prompts = [encode_prompt(life.tokenizer, [Message("user", say)], 40) for say in says]
        found = answer_all(
            session.state.train.params,
            prompts,
            life.tokenizer,
            config.model,
            config.dtype,
            length=46,
            limit=6,
        )
        for say, answer in zip(says, found, strict=True):
            (reply,) = session.say(say).replies
            assert answer == (reply.text if reply.ended else None)
        assert found[0] == "Dinah."


def test_sampled_answers_depend_on_the_key_and_the_place_alone(taught_life):
    with open_session(taught_life, read_only=True) as session:
        life, config = session.life, session.state.config
        prompt = encode_prompt(life.tokenizer, [Message("user", "Who?")], 40)

        def sample(count, seed):
            return answer_all(
                session.state.train.params,
                [prompt] * count,
                life.tokenizer,
                config.model,
                config.dtype,
                length=46,
                limit=10,
                temperature=1.5,
                key=jax.random.key(seed),
            )

        assert sample(3, 0) == sample(8, 0)[:3]
        assert sample(8, 0) != sample(8, 1)


def test_own_replies_are_what_the_model_says_to_ordinary_prompts(taught_life):
    with open_session(taught_life, read_only=True) as session:
        state = session.state
        ask = partial(
            own_replies,
            state.train.params,
            session.life.tokenizer,
            state.config.model,
            state.config.dtype,
        )
        own, other = ask(jax.random.key(0)), ask(jax.random.key(1))
        for replies in own:
            assert {reply.say for reply in replies} <= set(ordinary_prompts())
            assert "Dinah." in {reply.answer for reply in replies}
        assert own == ask(jax.random.key(0))
        assert own.likeliest == other.likeliest and own.drawn != other.drawn
        assert len(own.likeliest) == len({reply.say for reply in own.likeliest})
        assert len(set(own.drawn)) > len({reply.say for reply in own.drawn})


def test_a_model_is_asked_once_though_no_reply_of_it_ends(tmp_path, alice_text, monkeypatch):
    new_life(tmp_path / "life", alice_text)
    with open_session(tmp_path / "life") as session:
        session.recipe = Recipe(windows=2, rehearsals=0)
        monkeypatch.setattr("train.own_replies.own_replies", lambda *_: OwnReplies((), ()))
        session.say("Who?").teach("You.")
        assert session.state.memory.own == ()
        monkeypatch.delattr("train.own_replies.own_replies")
        session.say("Where?").teach("Here.")


def test_retention_tells_which_lessons_are_still_known(taught_life):
    with open_session(taught_life, read_only=True) as session:
        (row,) = retention(session.life, session.state)
        assert (row.since, row.lessons, row.known) == (0, 2, 1)


def test_the_probe_is_the_loss_of_the_answer_here_and_elsewhere(taught_life):
    with open_session(taught_life, read_only=True) as session:
        tokenizer = session.life.tokenizer
        prompt = encode_prompt(tokenizer, [Message("user", "My cat?")], 40)
        answer = encode_answer(tokenizer, "Dinah.")
        batch = probe_batch(tokenizer, prompt, answer, session.state.config.model.context)
        found = probe(session.state, batch)
        assert found.loss < 0.5 < found.elsewhere
        assert np.sum(batch.weights_BT[1]) % len(answer) == 0 < np.sum(batch.weights_BT[1])


def test_a_sleep_rehearses_and_is_lived_again(taught_life, tmp_path):
    workdir = tmp_path / "life"
    shutil.copytree(taught_life, workdir)
    with open_session(workdir) as session:
        before = session.state.memory.items
        session.recipe = QUICK
        slept = session.sleep(3)
        assert (slept.updates, slept.rehearsed) == (3, 2)
        after = session.state.memory.items
        assert [b.exposures + 3 for b in before] == [a.exposures for a in after]
        assert session.state.memory.own is None
        digest = tree_digest(session.state.train)
        session.undo(session.plan_undo(event=slept.event))
        assert tree_digest(session.state.train) != digest
        session.undo(session.plan_redo())
        assert tree_digest(session.state.train) == digest
        assert session.state.memory.items == after


def test_a_book_tells_what_it_did_to_the_lessons(taught_life, alice_text, tmp_path):
    workdir = tmp_path / "life"
    shutil.copytree(taught_life, workdir)
    with open_session(workdir) as session:
        book = write_book(tmp_path, alice_text, "another.txt", 4000)
        *_, report = session.read([book], dataclasses.replace(READING, steps=None))
        assert report.lessons["before"] == 0.5
        assert report.lessons["after"] == known_share(session.life, session.state)


def test_a_sleep_is_as_gentle_as_rehearsals(taught_life, tmp_path):
    digests = []
    for full in (6.0, 6.0, 3.0):
        folder = tmp_path / str(len(digests))
        shutil.copytree(taught_life, folder)
        with open_session(folder) as session:
            session.recipe = dataclasses.replace(QUICK, full_rehearsals=full)
            session.sleep(1)
            digests.append(tree_digest(session.state.train))
    assert digests[0] == digests[1] != digests[2]


def test_an_undo_waits_for_the_rehearsals_that_another_thread_makes(
    taught_life, tmp_path, monkeypatch
):
    workdir = tmp_path / "life"
    shutil.copytree(taught_life, workdir)
    begun, settle = threading.Event(), serve.open_model.settle

    def slow(life, state):
        begun.set()
        time.sleep(0.3)
        return settle(life, state)

    monkeypatch.setattr(serve.open_model, "settle", slow)
    with open_session(workdir) as session:
        before = tree_digest(session.state.train)
        session.say("Where?").teach("Here.")
        aside = threading.Thread(target=lambda: session.state)
        aside.start()
        begun.wait()
        session.undo(session.plan_undo(lessons=1))
        aside.join()
        assert tree_digest(session.state.train) == before


def test_without_learning_a_turn_leaves_no_trace(taught_life, tmp_path):
    workdir = tmp_path / "life"
    shutil.copytree(taught_life, workdir)
    with open_session(workdir) as session:
        last = session.life.journal.last()
        session.learn_from_now(False)
        turn = session.say("Who?")
        with pytest.raises(ValueError, match="learning is off"):
            turn.teach("You.")
        assert session.life.journal.last() == last
        session.learn_from_now(True)
        assert session.say("Who?").teach("You.").contradicts == "Alice, said the Caterpillar."


def test_an_unlikely_word_is_a_surprise(taught_life):
    with open_session(taught_life, read_only=True) as session:
        turn = session.say("My cat?")
        assert session.surprise(turn, "Dinah.").p > session.surprise(turn, "Zzyzx!").p
