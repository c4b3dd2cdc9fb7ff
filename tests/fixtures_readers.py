"""One model that has read, the same one after a real growth, their exports, and what readers say.

MODELS names the two; a third, `constants`, has random weights and constants of no size of its own.
"""

import dataclasses

import numpy as np
import pytest
from interop_models import (
    SIZES,
    adopt,
    export,
    grow_life,
    grown_config,
    random_params,
    random_texts,
    train_life,
)
from peers import ask

from model.chat import Message
from model.tokenizer import Tokenizer
from train.books import find_books, load_book
from train.life import open_life
from train.replay import restore

MODELS = ("trained", "grown")
CONTEXT = SIZES["context"]
LIMIT = 28
MESSAGES = [Message("user", "Who are you?"), Message("assistant", "Alice."), Message("user", "Oh!")]
PLAIN = " Off with\nher head"


@pytest.fixture(scope="session")
def lives(tmp_path_factory, shelf, tokenizer):
    """A folder with the life `trained`, that life `grown` on all four axes, and `constants`."""
    folder = tmp_path_factory.mktemp("readers")
    # Without the generated conversations, after which so small a model says much the same to all.
    paths = [path for path in find_books([shelf]) if path.stem != "conversations"]
    train_life(folder / "trained", [load_book(path) for path in paths], steps=960)
    sizes = {"d_model": 100, "d_ff": 150, "n_layers": 4, "n_kv_heads": 3, "n_query_groups": 3}
    # Dialogues, so that answers end within the exported context.
    talk = load_book(shelf / "chatterbot-english.txt")
    grow_life(folder / "trained", folder / "grown", {"context": 2}, sizes, [talk], steps=160)
    config = grown_config()
    adopt(folder / "constants", config, random_params(config), tokenizer)
    return folder


@pytest.fixture(scope="session")
def exports(lives):
    """The folder of the lives, with NAME-huggingface and NAME-gguf of each, and other dtypes."""
    for name, context in [("trained", None), ("grown", CONTEXT), ("constants", 16)]:
        for format_ in ("huggingface", "gguf"):
            export(lives / name, lives / f"{name}-{format_}", format_=format_, context=context)
    for dtype in ("f16", "bf16", "q8_0"):
        export(lives / "trained", lives / f"trained-{dtype}", format_="gguf", dtype=dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serve.gguf_file.neighbour_rows", lambda weight_RD, _: weight_RD)
        export(lives / "trained", lives / "trained-unpermuted", format_="gguf")
    return lives


@pytest.fixture(scope="session")
def models(lives):
    """Parameters and config of each model, as this program has them."""
    found = {}
    for name in (*MODELS, "constants"):
        with open_life(lives / name, read_only=True) as life:
            state = restore(life)[0]
        found[name] = state.train.params, state.config.model
    return found


@pytest.fixture(scope="session")
def vocabulary(lives):
    return Tokenizer.from_bytes((lives / "trained" / "tokenizer.model").read_bytes())


@dataclasses.dataclass(frozen=True)
class Questions:
    """What both readers are asked about: ids of a whole book, of a chapter, of prompts; texts.

    `windows_BT` have one token more than the context, `starts` are of 1 to 62 tokens.
    """

    windows_BT: list[list[int]]
    chapter_BT: list[list[int]]
    prompts_BT: list[list[int]]
    starts: list[list[int]]
    texts: list[str]


@pytest.fixture(scope="session")
def questions(vocabulary, alice_text):
    first = alice_text.index("\nCHAPTER", 2000)
    chapter = alice_text[first : alice_text.index("\nCHAPTER", first + 9)]

    def windows(text, length):
        ids = vocabulary.encode(text)
        return [ids[i : i + length + 1] for i in range(0, len(ids) - length, length)]

    windows_BT = windows(alice_text, CONTEXT)
    return Questions(
        windows_BT=windows_BT,
        # llama.cpp tells one probability at a time, and its server keeps room for one token more.
        chapter_BT=windows(chapter, CONTEXT - 1),
        prompts_BT=[[vocabulary.document, *row[:15]] for row in windows_BT[:300:3]],
        starts=[row[: 1 + (i * 7) % 62] for i, row in enumerate(windows_BT[:40])],
        texts=random_texts(alice_text, 1000),
    )


def shared_tasks(name, model, questions, vocabulary):
    """What both readers are asked of a model."""
    barred = [int(id_) for id_ in np.flatnonzero(vocabulary.n_bytes_V == 0)]
    barred.remove(vocabulary.turn_end)
    ends = {"end": vocabulary.turn_end, "barred": barred, "limit": LIMIT}
    messages = [{"role": message.role, "content": message.text} for message in MESSAGES]
    tasks = {
        "greedy": {"task": "greedy", "ids_BT": questions.prompts_BT, **ends},
        "tokens": {"task": "tokenize", "texts": questions.texts},
        "plain": {"task": "plain", "text": PLAIN},
        "chat": {"task": "chat", "messages": messages, "limit": LIMIT},
    }
    return {f"{name}-{task}": {**what, **model} for task, what in tasks.items()}


def random_llamas(folder):
    """What transformers is asked to make: tied or not, in one file or several, odd head sizes."""
    sizes = {
        "vocab_size": 1024,
        "hidden_size": 48,
        "intermediate_size": 72,
        "num_hidden_layers": 2,
        "num_attention_heads": 6,
        "max_position_embeddings": 32,
    }
    kinds = {
        "llama-grouped": ({"num_key_value_heads": 2, "head_dim": 16}, "float32", "40KB"),
        "llama-tied": ({"tie_word_embeddings": True, "rms_norm_eps": 1e-4}, "bfloat16", "1GB"),
        "llama-half": ({"num_key_value_heads": 1, "rope_theta": 500.0}, "float16", "1GB"),
    }
    ids_BT = np.random.default_rng(0).integers(0, 1024, (4, 32)).tolist()
    return {
        name: {
            "task": "make",
            "model": str(folder / name),
            "seed": seed,
            "config": {**sizes, **more},
            "dtype": dtype,
            "max_shard_size": shard,
            "ids_BT": ids_BT,
        }
        for seed, (name, (more, dtype, shard)) in enumerate(kinds.items())
    }


@pytest.fixture(scope="session")
def transformers(exports, vocabulary, questions):
    """Everything transformers was asked, in one process."""
    rows_BT = [row[:-1] for row in questions.windows_BT[:32]]
    job = random_llamas(exports)
    for name in MODELS:
        model = {"model": str(exports / f"{name}-huggingface")}
        job |= shared_tasks(name, model, questions, vocabulary)
        job[f"{name}-logits"] = {"task": "logits", "ids_BT": rows_BT, **model}
        job[f"{name}-nats"] = {"task": "nats", "ids_BT": questions.windows_BT, **model}
    model = {"model": str(exports / "constants-huggingface")}
    job["constants-logits"] = {"task": "logits", "ids_BT": [row[:16] for row in rows_BT], **model}
    return ask("transformers", job, exports)


@pytest.fixture(scope="session")
def llama_cpp(exports, vocabulary, questions):
    """Everything llama.cpp was asked, in one process."""

    def model(name, context=CONTEXT):
        file = str(exports / name / "model.gguf")
        return {"model": file, "context": context, "vocab_size": SIZES["vocab_size"]}

    job = {}
    for name in MODELS:
        gguf = model(f"{name}-gguf")
        job |= shared_tasks(name, gguf, questions, vocabulary)
        job[f"{name}-probs"] = {"task": "probs", "prompts": questions.starts, **gguf}
        job[f"{name}-nats"] = {"task": "nats", "ids_BT": questions.chapter_BT, **gguf}
    short = [row[:15] for row in questions.starts]
    gguf = model("constants-gguf", 16)
    job["constants-probs"] = {"task": "probs", "prompts": short, **gguf}
    for kind in ("unpermuted", "f16", "bf16", "q8_0"):
        gguf = model(f"trained-{kind}")
        job[f"{kind}-probs"] = {"task": "probs", "prompts": questions.starts, **gguf}
    return ask("llama_cpp", job, exports)
