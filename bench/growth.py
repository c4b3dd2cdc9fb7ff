"""What growing costs in the first steps: the dip, for several ways to treat newborn entries.

    python -m bench.growth --shelf=BOOKS --out=FILE.jsonl

A small model reads a shelf; then it grows to twice its size on all four axes, and every arm goes on
from there with the same windows. The dip is the largest excess of an arm's held-out loss over the
model that was not grown, at equal steps. One JSON line per arm and seed.
"""

import argparse
import dataclasses
import functools
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from grow.moments import grow_moments
from grow.surgery import grow
from grow.target import grown_config
from model.config import new_config
from model.tokenizer import Tokenizer, train_tokenizer
from train.books import find_books, load_book
from train.evaluate import sample_held_out
from train.newborn import Growth
from train.optimizer import OptimizerConfig, make_optimizer
from train.state import TrainState, init_opt_state, init_state
from train.step import StepConfig, batch_losses, train_step
from train.windows import encode_book, join_books, window_stream

RATE, WARMUP = 1e-3, 100
# What is grown; every size but the vocabulary and the head size doubles.
BASES = {
    "2m": {"context": 128, "vocab_size": 4096},
    "quarter": {
        "context": 64,
        "vocab_size": 2048,
        "d_model": 64,
        "n_layers": 2,
        "n_kv_heads": 2,
        "head_dim": 32,
        "d_ff": 192,
    },
}
MARKS = (0, 2, 5, 10, 20, 30, 40, 50, 75)


def main() -> None:
    """Runs every arm at every seed and appends the measurements to the output file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shelf", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--base", choices=BASES, default="2m")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--base_steps", type=int, default=2000)
    parser.add_argument("--last", type=int, default=75)
    parser.add_argument("--arms", default=";".join(ARMS))
    arguments = parser.parse_args()
    books = [load_book(path) for path in find_books(arguments.shelf)]
    small = new_config("2m", **BASES[arguments.base])
    texts = [document.text for book in books for document in book.documents if document.text]
    tokenizer = Tokenizer.from_bytes(train_tokenizer(texts, small.vocab_size))
    shelf = join_books([encode_book(book, tokenizer) for book in books])
    held_out = sample_held_out(shelf, small.context, 16)
    for seed in range(arguments.seeds):
        base, stream = train_base(small, shelf, seed, arguments.base_steps)
        for name in arguments.arms.split(";"):
            started = time.process_time()
            curve = run_arm(ARMS[name], small, base, stream, held_out, seed, arguments)
            record = {"arm": name, "seed": seed, "curve": curve}
            record["cpu_seconds"] = time.process_time() - started
            with arguments.out.open("a") as file:
                file.write(json.dumps(record) + "\n")


def train_base(small, shelf, seed, steps):
    """The small model after `steps` windows of the shelf, and the windows it has not read."""
    step = StepConfig(small, OptimizerConfig(), jnp.dtype("bfloat16"))
    state = init_state(small, step.optimizer, jax.random.key(seed))
    windows = window_stream(shelf, seed=seed, pass_=0, context=small.context)
    for number in range(steps):
        rate = RATE * min(1.0, (number + 1) / WARMUP)
        state, _ = train_step(state, windows.batch(number, 1), rate, step)
    return state, (windows, steps)


def doubled(small):
    """Twice the size on all four axes."""
    names = ("d_model", "d_ff", "n_kv_heads", "n_layers", "context")
    return grown_config(small, **{name: 2 * getattr(small, name) for name in names})


def grown(small, base, seed, first, *, treated=True, filled=False):
    """An exact growth; `treated` as the product treats newborn entries, or like any others."""
    big = doubled(small)
    moments = grow_moments(base.opt_state, make_optimizer(OptimizerConfig()), small, big)
    if filled:
        moments = fill_second_moments(moments, base.opt_state)
    params = grow(base.params, small, big, jax.random.key(1000 + seed))
    return TrainState(params, moments), big, (Growth(small, first),) if treated else (), 0


def fill_second_moments(moments, old):
    """Newborn second moments at the mean of their leaf's old ones; a copy's at its source's."""

    def fill(new, before):
        nu = jax.tree.map(
            lambda n, b: jnp.full_like(n, jnp.mean(b)).at[tuple(map(slice, b.shape))].set(b),
            new[1].nu,
            before[1].nu,
        )
        return (new[0], new[1]._replace(nu=nu), new[2])

    def whole(new, before):
        nu = jax.tree.map(lambda n, b: jnp.full_like(n, jnp.mean(b)), new[1].nu, before[1].nu)
        return (new[0], new[1]._replace(nu=nu), new[2])

    blocks = [fill(new, b) for new, b in zip(moments["blocks"], old["blocks"], strict=False)]
    more = moments["blocks"][len(blocks) :]
    blocks += [whole(new, old["blocks"][i % len(old["blocks"])]) for i, new in enumerate(more)]
    rest = {name: fill(moments[name], old[name]) for name in moments if name != "blocks"}
    return {**rest, "blocks": blocks}


def seed_recipe(small, base, seed, first):
    """The recipe this project is measured against: corner copy, noise, plain norm, state reset."""
    del first
    big = doubled(small)
    big = dataclasses.replace(big, norm_dim=big.d_model)
    state = init_state(big, OptimizerConfig(), jax.random.key(1000 + seed))
    leaves, structure = jax.tree.flatten(state.params)
    keys = [jax.random.fold_in(jax.random.key(2000 + seed), i) for i in range(len(leaves))]
    noise = [
        0.02 * jax.random.normal(key, leaf.shape) if leaf.ndim > 1 else jnp.ones(leaf.shape)
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    params = jax.tree.unflatten(structure, noise)

    def corner(new, old):
        return new.at[tuple(map(slice, old.shape))].set(old)

    n = small.n_layers
    blocks = [jax.tree.map(corner, params["blocks"][i], base.params["blocks"][i]) for i in range(n)]
    params = {
        **{k: jax.tree.map(corner, params[k], base.params[k]) for k in ("embed", "norm_out")},
        "blocks": [*blocks, *params["blocks"][n:]],
    }
    return TrainState(params, init_opt_state(params, OptimizerConfig())), big, (), 30


def not_grown(small, base, seed, first):
    """The small model, read on."""
    del seed, first
    return base, small, (), 0


ARMS = {
    "not grown": not_grown,
    "as in use": grown,
    "untreated": functools.partial(grown, treated=False),
    "filled": functools.partial(grown, filled=True),
    "seed recipe": seed_recipe,
}


def run_arm(make, small, base, stream, held_out, seed, arguments):
    """Held-out nats per token after each of the marked steps."""
    copy = jax.tree.map(jnp.copy, base)
    windows, first = stream
    state, config, growths, warmup = make(small, copy, seed, first)
    state = jax.tree.map(jnp.copy, state)
    step = StepConfig(config, OptimizerConfig(), jnp.dtype("bfloat16"), growths)
    curve = {}
    for number in range(arguments.last + 1):
        if number in MARKS:
            curve[number] = held_out_nats(state.params, held_out, step)
        rate = RATE * (min(1.0, (number + 1) / warmup) if warmup else 1.0)
        state, _ = train_step(state, windows.batch(first + number, 1), rate, step)
    return curve


def held_out_nats(params, held_out, step):
    """Mean negative log-likelihood of the held-out targets."""
    plain = step._replace(growths=())
    losses = [np.asarray(batch_losses(params, batch, plain)) for batch in held_out]
    weights = [batch.weights_BT for batch in held_out]
    total = sum(float(np.sum(a * b)) for a, b in zip(losses, weights, strict=True))
    return total / float(sum(np.sum(b) for b in weights))


if __name__ == "__main__":
    main()
