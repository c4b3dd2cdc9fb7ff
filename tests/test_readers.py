"""An export gives the same answers in the real transformers and the real llama.cpp.

Both the model that has read and the same model after a growth; see fixtures_readers.py.
"""

import json
import shutil

import jax
import numpy as np
import pytest
from fixtures_readers import CONTEXT, LIMIT, MESSAGES, MODELS, PLAIN, random_llamas
from interop_models import ids_with_marks
from peers import needs_readers, our_greedy, our_logits, our_nats

from model.chat import encode_prompt
from serve.importing import import_model
from train.life import open_life
from train.replay import restore

# Two tokens that are so near may change places; llama.cpp keeps keys and values in float16.
TIE_NATS = {"transformers": 2e-4, "llama_cpp": 5e-3}
pytestmark = needs_readers
both_models = pytest.mark.parametrize("name", MODELS)
both_readers = pytest.mark.parametrize("reader", ["transformers", "llama_cpp"])


def probs_difference(model, prompts, answers):
    """The largest difference of one next-token probability over all prompts."""
    params, config = model
    padded_BT = [[*ids, *[0] * (CONTEXT - len(ids))] for ids in prompts]
    last_B = [len(ids) - 1 for ids in prompts]
    logits_BV = our_logits(params, padded_BT, config)[range(len(prompts)), last_B]
    return float(np.max(np.abs(jax.nn.softmax(logits_BV) - answers)))


def perplexity_ratio(theirs, ours, rows_BT):
    """Their perplexity over ours, from total nats."""
    return np.exp((theirs - ours) / sum(len(row) - 1 for row in rows_BT))


@pytest.mark.parametrize(("name", "length"), [("trained", 64), ("grown", 64), ("constants", 16)])
def test_logits_in_transformers(transformers, models, questions, name, length):
    params, config = models[name]
    ids_BT = np.array(questions.windows_BT[:32])[:, :length]
    ours = our_logits(params, ids_BT, config)
    assert np.max(np.abs(ours - transformers[f"{name}-logits"])) < 2e-5
    assert np.std(ours) > 0.3


@both_models
def test_probabilities_in_llama_cpp(llama_cpp, models, questions, name):
    assert probs_difference(models[name], questions.starts, llama_cpp[f"{name}-probs"]) < 1e-3


def test_probabilities_with_other_constants_in_llama_cpp(llama_cpp, models, questions):
    short = [row[:15] for row in questions.starts]
    assert probs_difference(models["constants"], short, llama_cpp["constants-probs"]) < 1e-3


def test_without_the_permutation_the_check_fails(llama_cpp, models, questions):
    answers = llama_cpp["unpermuted-probs"]
    assert probs_difference(models["trained"], questions.starts, answers) > 0.05


@pytest.mark.parametrize(("dtype", "within"), [("f16", 2e-3), ("bf16", 2e-2), ("q8_0", 2e-2)])
def test_smaller_weights_load_in_llama_cpp(llama_cpp, models, questions, dtype, within):
    answers = llama_cpp[f"{dtype}-probs"]
    assert 0 < probs_difference(models["trained"], questions.starts, answers) < within


@both_models
@both_readers
def test_greedy_text_of_100_prompts(reader, request, models, vocabulary, questions, name):
    ours = our_greedy(*models[name], questions.prompts_BT, vocabulary, LIMIT)
    end = vocabulary.turn_end
    assert len(ours) == 100 and len({tuple(row) for row in ours}) > 50
    rows = request.getfixturevalue(reader)[f"{name}-greedy"]
    theirs = [row[: row.index(end) + 1] if end in row else row for row in rows]
    others = [number for number in range(100) if theirs[number] != ours[number]]
    assert len(others) <= 3
    for number in others:
        pair = questions.prompts_BT[number], ours[number], theirs[number]
        assert lead_at_parting(*models[name], *pair) < TIE_NATS[reader]


def lead_at_parting(params, config, prompt, ours, theirs):
    """How far the better of the two tokens is ahead in our logits where two answers part."""
    at = next(i for i, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other)
    ids = [*prompt, *ours[:at]]
    logits_V = our_logits(params, np.array([[*ids, *[0] * (CONTEXT - len(ids))]]), config)[0]
    logits_V = logits_V[len(ids) - 1]
    assert np.argmax(logits_V) in (ours[at], theirs[at])
    return abs(float(logits_V[ours[at]] - logits_V[theirs[at]]))


@both_models
@both_readers
def test_token_ids_of_1000_strings(reader, request, vocabulary, questions, name):
    answers = request.getfixturevalue(reader)[f"{name}-tokens"]
    wanted = ids_with_marks(vocabulary, questions.texts)
    assert len(wanted) == 1000
    for text, ids, answer in zip(questions.texts, wanted, answers, strict=True):
        assert answer["ids"] == ids, repr(text)
        if reader == "transformers" or "<" not in text:
            assert answer["text"] == text


def test_the_1000_strings_hold_what_is_difficult(vocabulary, questions):
    kinds = [piece.kind for piece in vocabulary.pieces()]
    for ids in (vocabulary.turn_start, vocabulary.turn_end, vocabulary.document):
        assert sum(ids in row for row in ids_with_marks(vocabulary, questions.texts)) > 20
    spelled = [
        row
        for row in map(vocabulary.encode, questions.texts)
        if "byte" in {kinds[id_] for id_ in row}
    ]
    assert len(spelled) > 200


@both_readers
def test_a_plain_text_begins_with_the_document_mark(reader, request, vocabulary):
    ids = [vocabulary.document, *vocabulary.encode(PLAIN)]
    assert request.getfixturevalue(reader)["grown-plain"] == ids


@both_models
def test_perplexity_of_a_whole_book_in_transformers(transformers, models, questions, name):
    rows_BT = questions.windows_BT
    ours = our_nats(*models[name], rows_BT)
    assert abs(perplexity_ratio(transformers[f"{name}-nats"], ours, rows_BT) - 1) < 1e-3


@both_models
def test_perplexity_of_a_chapter_in_llama_cpp(llama_cpp, models, questions, name):
    rows_BT = questions.chapter_BT
    assert len(rows_BT) > 40
    ours = our_nats(*models[name], rows_BT)
    assert abs(perplexity_ratio(llama_cpp[f"{name}-nats"], ours, rows_BT) - 1) < 1e-3


def test_chat_prompts_are_ours(transformers, llama_cpp, vocabulary):
    ours = encode_prompt(vocabulary, MESSAGES, 1000)
    assert transformers["trained-chat"] == ours
    # The handler leaves the document mark to the tokenizer, which puts it in front again.
    assert [vocabulary.document, *llama_cpp["trained-chat"]["prompt"]] == ours
    assert llama_cpp["trained-chat"]["prompt_tokens"] == len(ours)


@both_models
def test_chat_in_llama_cpp_stops_at_the_end_mark(llama_cpp, models, vocabulary, name):
    chat = llama_cpp[f"{name}-chat"]
    assert chat["finish_reason"] == "stop" and chat["ids"][-1] == vocabulary.turn_end
    assert chat["text"] == vocabulary.decode(chat["ids"])
    prompts_BT = [encode_prompt(vocabulary, MESSAGES, 1000)]
    assert [chat["ids"]] == our_greedy(*models[name], prompts_BT, vocabulary, LIMIT)


def test_random_llamas_come_in(exports, tmp_path, transformers, tokenizer_proto):
    for name, task in random_llamas(exports).items():
        source = shutil.copytree(exports / name, tmp_path / name)
        (source / "tokenizer.model").write_bytes(tokenizer_proto)
        import_model(source, tmp_path / f"{name}-life", dtype="float32").close()
        with open_life(tmp_path / f"{name}-life") as life:
            state = restore(life)[0]
        ours = our_logits(state.train.params, np.array(task["ids_BT"]), state.config.model)
        assert np.max(np.abs(ours - transformers[name])) < 2e-5, name
        assert np.std(ours) > 0.3
    assert len(list((exports / "llama-grouped").glob("*.safetensors"))) > 1
    config = json.loads((exports / "llama-grouped" / "config.json").read_text())
    assert config["head_dim"] != config["hidden_size"] // config["num_attention_heads"]
