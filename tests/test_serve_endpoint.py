"""The endpoint as OpenAI's own client sees it, unchanged; reading from it teaches nothing."""

import math

import openai
import pytest
from lives import READING, new_life, open_session, write_book
from serving import serving

from train.flat_tree import tree_digest

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture(scope="module")
def served(tmp_path_factory, alice_text):
    folder = tmp_path_factory.mktemp("endpoint")
    new_life(folder / "life", alice_text)
    with open_session(folder / "life") as session:
        list(session.read([write_book(folder, alice_text, start=2000)], READING))
    with serving(folder / "life") as served:
        yield served


@pytest.fixture(scope="module")
def client(served):
    address = f"http://127.0.0.1:{served.client.port}/v1"
    with openai.OpenAI(base_url=address, api_key="any", max_retries=0) as client:
        yield client


def ask(client, **options):
    return client.chat.completions.create(model="apprentice", messages=HELLO, **options)


def test_the_model_is_listed(client):
    (model,) = client.models.list().data
    assert model.id == "apprentice" and model.object == "model"
    assert client.models.retrieve("apprentice").id == "apprentice"


def test_an_answer_is_whole_and_counted(client):
    answer = ask(client, max_tokens=5)
    (choice,) = answer.choices
    assert answer.object == "chat.completion" and answer.id.startswith("chatcmpl-")
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert 1 <= usage.completion_tokens <= 5
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert answer.system_fingerprint.startswith("fp_")


def test_several_choices_stream_interleaved_and_join_to_the_whole_answer(client):
    options = {"n": 3, "seed": 7, "max_tokens": 9, "temperature": 0.9}
    whole = ask(client, **options)
    chunks = list(ask(client, **options, stream=True, stream_options={"include_usage": True}))
    texts, finished = {0: "", 1: "", 2: ""}, {}
    for chunk in chunks[:-1]:
        assert chunk.id == chunks[0].id and chunk.usage is None
        (choice,) = chunk.choices
        assert choice.index not in finished
        texts[choice.index] += choice.delta.content or ""
        if choice.finish_reason:
            finished[choice.index] = choice.finish_reason
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices == [] and chunks[-1].usage == whole.usage
    assert texts == {choice.index: choice.message.content for choice in whole.choices}
    assert finished == {choice.index: choice.finish_reason for choice in whole.choices}
    assert len(set(texts.values())) > 1


def test_a_seed_repeats_an_answer_and_another_does_not(client):
    said = [ask(client, seed=seed, max_tokens=12).choices[0].message.content for seed in (3, 3, 4)]
    assert said[0] == said[1] != said[2]


def test_one_choice_does_not_depend_on_how_many_are_drawn(client):
    one, three = (ask(client, seed=5, n=n, max_tokens=6) for n in (1, 3))
    assert one.choices[0].message.content == three.choices[0].message.content


def test_every_token_has_its_probability_and_its_bytes(client):
    answer = ask(client, logprobs=True, top_logprobs=4, max_tokens=6, temperature=0, seed=1)
    entries = answer.choices[0].logprobs.content
    assert len(entries) == answer.usage.completion_tokens
    data = b"".join(bytes(entry.bytes) for entry in entries)
    assert data.decode("utf-8", "replace") == answer.choices[0].message.content
    for entry in entries:
        best = [other.logprob for other in entry.top_logprobs]
        assert len(best) == 4 and best == sorted(best, reverse=True)
        assert entry.logprob <= best[0] + 1e-6
        assert sum(map(math.exp, best)) <= 1 + 1e-5
    chunks = list(ask(client, logprobs=True, max_tokens=6, temperature=0, seed=1, stream=True))
    told = [c.choices[0].logprobs.content for c in chunks if c.choices[0].logprobs]
    assert [entry.bytes for part in told for entry in part] == [entry.bytes for entry in entries]


def test_an_answer_ends_before_a_stop(client):
    options = {"seed": 3, "max_tokens": 12}
    whole = ask(client, **options).choices[0].message.content
    stop = whole[4:7]
    cut = ask(client, **options, stop=[stop, "never said"]).choices[0]
    assert cut.message.content == whole[: whole.index(stop)] and cut.finish_reason == "stop"
    parts = list(ask(client, **options, stop=stop, stream=True))
    joined = "".join(part.choices[0].delta.content or "" for part in parts)
    assert joined == cut.message.content


def test_a_bias_and_a_penalty_change_what_is_drawn(client, served):
    tokenizer = served.session.life.tokenizer
    (letter,) = tokenizer.encode("e")[-1:]
    loud = ask(client, temperature=0, max_tokens=4, logit_bias={str(letter): 100})
    assert loud.choices[0].message.content == tokenizer.decode([letter] * 4)
    said = ask(
        client, temperature=0, max_tokens=4, logit_bias={str(letter): 6}, frequency_penalty=2
    )
    assert said.choices[0].message.content != loud.choices[0].message.content


def test_a_conversation_with_a_system_message_and_parts_is_understood(client):
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": word} for word in ("Hel", "lo")]},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Who?"},
    ]  # fmt: skip
    answer = client.chat.completions.create(
        model="apprentice", messages=messages, max_tokens=3, user="someone", extra_body={"min_p": 1}
    )
    assert answer.choices[0].message.content


@pytest.mark.parametrize(("options", "param"), [
    ({"temperature": 3.0}, "temperature"),
    ({"n": 4}, "n"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"response_format": {"type": "json_object"}}, "response_format"),
    ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
    ({"extra_body": {"messages": []}}, "messages"),
    ({"extra_body": {"messages": [{"role": "user", "content": "word " * 400}]}}, "messages"),
    ({"extra_body": {"messages": [{"role": "tool", "content": "x"}]}}, "messages"),
])  # fmt: skip
def test_a_wrong_request_is_named_and_not_tried_again(client, options, param):
    with pytest.raises(openai.BadRequestError) as error:
        ask(client, **options)
    assert error.value.param == param and error.value.message


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="gpt-9", messages=HELLO)


def test_asking_teaches_nothing_and_leaves_no_trace(client, served):
    session = served.session
    before = tree_digest(session.state.train), session.life.journal.last(), session.context()
    fingerprints = {ask(client, max_tokens=1).system_fingerprint for _ in range(2)}
    assert (
        tree_digest(session.state.train),
        session.life.journal.last(),
        session.context(),
    ) == before
    turn = served.client.say("Hello")
    served.client.ask("/api/lesson", {"turn": turn["turn"], "teach": "Yes."})
    fingerprints.add(ask(client, max_tokens=1).system_fingerprint)
    assert len(fingerprints) == 2
