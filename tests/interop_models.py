"""The small models of the interop tests: one that has read, and one with constants of a growth."""

import dataclasses
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
from conftest import small_config

from grow.plan import plan_growth
from model.axes import param_axes, shape_of
from model.config import new_config
from serve.export import export_model
from serve.session import Session
from train.adopt import adopt_life
from train.life import create_life, open_life
from train.optimizer import OptimizerConfig
from train.reading_plan import ReadingConfig
from train.replay import restore
from train.step import StepConfig

SIZES = {
    "d_model": 64,
    "n_layers": 2,
    "n_kv_heads": 2,
    "n_query_groups": 2,
    "head_dim": 24,
    "d_ff": 96,
    "vocab_size": 1024,
    "context": 64,
}
_MARKS = re.compile(r"(<unk>|<\|endoftext\|>|<\|im_start\|>|<\|im_end\|>)")


def step_config(model):
    return StepConfig(model, OptimizerConfig(), jnp.dtype("float32"))


def train_life(workdir, books, steps):
    """A life of 150,000 parameters that has read some windows of the books."""
    texts = [document.text for book in books for document in book.documents if document.text]
    create_life(workdir, step_config(new_config("2m", **SIZES)), seed=0, texts=texts).close()
    with Session.open(workdir) as session:
        list(session.read(books, _reading(steps)))


def grow_life(before, workdir, ratios, sizes, books, steps):
    """A copy of a life, grown as asked for, that has then read some more windows of the books."""
    shutil.copytree(before, workdir)
    with Session.open(workdir) as session:
        session.grow(plan_growth(session.state.config.model, ratios, sizes))
        list(session.read(books, _reading(steps)))


def _reading(steps):
    return ReadingConfig(
        epochs=None,
        steps=steps,
        batch_size=8,
        learning_rate=5e-3,
        warmup_steps=10,
        mix=True,
        held_out_windows=1,
    )


def export(workdir, to, **options):
    """The new folder `to` holds an export of the life in `workdir`."""
    with open_life(workdir, read_only=True) as life:
        export_model(life, restore(life)[0], to, **options)


def grown_config(**overrides):
    """A config whose constants are not those of its sizes, as after a growth; untied."""
    model = small_config(vocab_size=1024, d_model=40, head_dim=8, d_ff=56, context=32, **overrides)
    return dataclasses.replace(
        model,
        norm_dim=24,
        norm_eps=3e-4,
        attention_scale=0.5,
        logit_scale=0.6,
        rope_base=5000.0,
        tied_embedding=False,
        windows=((16, 32), (24, 16)),
    )


def random_params(config, seed=0):
    """Random parameters with logits that are far from flat, and gains far from 1."""
    rng = np.random.default_rng(seed)

    def leaf(axes):
        size = 0.3 if len(axes) > 1 else 0.2
        noise = size * rng.standard_normal(shape_of(axes, config))
        return (noise if len(axes) > 1 else 1 + noise).astype(np.float32)

    return jax.tree.map(leaf, param_axes(config))


def adopt(workdir, config, params, tokenizer):
    """A life with these parameters."""
    adopt_life(
        workdir, step_config(config), params, seed=0, proto=tokenizer.proto, origin={"by": "a test"}
    ).close()


def ids_with_marks(tokenizer, texts):
    """The ids of texts whose marks count as marks, for each of the texts."""
    of_mark = {piece.text: id_ for id_, piece in enumerate(tokenizer.pieces())}

    def ids(text):
        for part in _MARKS.split(text):
            yield from [of_mark[part]] if _MARKS.fullmatch(part) else tokenizer.encode(part)

    return [list(ids(text)) for text in texts]


def random_texts(book, n):
    """Strings of book, byte-fallback characters, blanks, marks and noise, always the same ones.

    U+2581 and lone surrogates are left out: our tokenizer encodes U+2581 by its bytes so that it
    comes back, while SentencePiece and llama.cpp take it for a blank; surrogates are no UTF-8.
    """
    rng = np.random.default_rng(1)
    marks = ["<|endoftext|>", "<|im_start|>user\n", "<|im_end|>\n", "<unk>"]
    odd = [
        " ",
        "  ",
        "\n",
        "\t",
        "\r\n",
        "\0",
        "é",
        "漢字",
        "😀",
        "👩‍👩‍👧",
        "e\u0301",
        "1999",
        "<0x41>",
    ]
    texts = []
    for _ in range(n):
        parts = []
        for _ in range(rng.integers(1, 6)):
            kind = rng.integers(0, 4)
            if kind == 0:
                start = rng.integers(0, len(book) - 50)
                parts.append(book[start : start + rng.integers(1, 50)])
            elif kind == 1:
                parts.append(str(rng.choice(marks)))
            elif kind == 2:
                parts.append(str(rng.choice(odd)))
            else:
                codes = rng.integers(1, [128, 0x800, 0x10000, 0x110000])
                parts.append("".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000))
        texts.append("".join(parts).replace("\u2581", ""))
    return texts
