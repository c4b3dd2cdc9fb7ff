"""What the growth benches share: the small model, the ways to grow it, and how an arm reads on.

The losing ways to treat newborn entries live here and not in the product, so that they can be
measured again.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import train.step
from grow.leaves import axes_by_kind, leaf_kind
from grow.moments import grow_moments
from grow.surgery import grow
from grow.target import grown_config
from model.config import ModelConfig, new_config
from model.tokenizer import Tokenizer, train_tokenizer
from train.books import find_books, load_book
from train.evaluate import sample_held_out
from train.newborn import UNCLIPPED, Growth, clip_apart, newborn_entries
from train.optimizer import OptimizerConfig, make_optimizer
from train.state import TrainState, abstract_state, init_opt_state, init_state
from train.step import StepConfig, batch_losses, train_step
from train.windows import encode_book, join_books, window_stream

RATE, WARMUP = 1e-3, 100
OPTIMIZER = OptimizerConfig()
# 2.2 M parameters; short windows and a small vocabulary, so that a core can read enough of them.
SMALL = {
    "context": 128,
    "vocab_size": 2048,
    "d_model": 192,
    "n_layers": 4,
    "n_kv_heads": 3,
    "d_ff": 512,
}

LARGE = {"d_model": 320, "d_ff": 896, "n_kv_heads": 5, "n_layers": 8, "context": 256}


class Shelf(NamedTuple):
    """Books as tokens, and the held-out windows that every arm is measured with."""

    books: Any
    held_out: list[Any]
    tokenizer: Tokenizer


def small_config() -> ModelConfig:
    """The model that is grown."""
    return new_config("2m", **SMALL)


def read_shelf(paths: list[Path], config: ModelConfig, n_held_out: int) -> Shelf:
    """The books of a shelf in pieces of the config's vocabulary."""
    books = [load_book(path) for path in find_books(paths)]
    texts = [document.text for book in books for document in book.documents if document.text]
    tokenizer = Tokenizer.from_bytes(train_tokenizer(texts, config.vocab_size))
    joined = join_books([encode_book(book, tokenizer) for book in books])
    return Shelf(joined, sample_held_out(joined, config.context, n_held_out), tokenizer)


class Treatment(NamedTuple):
    """How newborn entries are updated; `ramp` 1 is full rate from the first step."""

    ramp: int = 100
    width_rule: bool = True
    age_aware: bool = False
    apart: bool = True


IN_USE = Treatment()
NOTHING = Treatment(ramp=1, width_rule=False, apart=False)


@contextlib.contextmanager
def treated(treatment: Treatment) -> Iterator[None]:
    """The training step updates newborn entries in another way than the product does."""
    kept = train.step.update_grown
    if treatment != IN_USE:
        train.step.update_grown = _update_rule(treatment)
    # The step's compiled functions are kept by their config, which is the same in every arm.
    jax.clear_caches()
    try:
        yield
    finally:
        train.step.update_grown = kept


def _update_rule(treatment: Treatment) -> Callable[..., tuple[Any, Any]]:
    def update(params, opt_state, gradients, learning_rate, layer, model, growths, config):
        count = opt_state[1].count
        ages = _ages(params, layer, count, growths)
        speeds = jax.tree.map(
            lambda age: jnp.minimum(1.0, age / treatment.ramp) * (age > 0) + (age == 0), ages
        )
        clip = config.clip_norm
        if treatment.apart:
            gradients = clip_apart(gradients, speeds, config.clip_norm)
            clip = UNCLIPPED
        optimizer = make_optimizer(dataclasses.replace(config, clip_norm=clip))
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        if treatment.age_aware:
            updates = _corrected(params, opt_state[1], ages, config)
        width = model.norm_dim / model.d_model if treatment.width_rule else 1.0
        params = jax.tree.map(
            lambda p, u, s: p - learning_rate * (width if p.ndim > 1 else 1.0) * s * u,
            params,
            updates,
            speeds,
        )
        return params, opt_state

    return update


def _ages(params, layer, count, growths):
    """Steps since each entry's birth, this one included; 0 for entries of the first model."""
    letters = {kind.split("/")[-1]: axes for kind, axes in axes_by_kind(growths[0].before).items()}

    def age(path, leaf):
        ages = jnp.zeros(leaf.shape, jnp.int32)
        for growth in growths:
            axes = letters[leaf_kind(path).split("/")[-1]]
            born = newborn_entries(leaf.shape, axes, layer, growth.before)
            ages = jnp.where(born, count - growth.born + 1, ages)
        return ages

    return jax.tree.map_with_path(age, params)


def _corrected(params, adam, ages, config):
    """AdamW's update with every entry's bias corrected by its own age."""

    def update(p, mu, nu, age):
        steps = jnp.where(age > 0, age, adam.count).astype(jnp.float32)
        mean, square = mu / (1 - config.b1**steps), nu / (1 - config.b2**steps)
        decay = config.weight_decay * p if p.ndim > 1 else 0.0
        return mean / (jnp.sqrt(square) + config.eps) + decay

    return jax.tree.map(update, params, adam.mu, adam.nu, ages)


def make_base(small, shelf: Shelf, seed: int, steps: int, batch: int, folder: Path):
    """The small model after so many steps on the shelf, and its curve; kept in a folder."""
    path = folder / f"base-{seed}-{steps}-{batch}.npz"
    structure = jax.tree.structure(abstract_state(small, OPTIMIZER))
    if path.exists():
        with np.load(path) as file:
            leaves = [file[f"leaf{number}"] for number in range(structure.num_leaves)]
            curve, seconds = file["curve"].tolist(), float(file["seconds"])
        return jax.tree.unflatten(structure, leaves), curve, seconds
    state = init_state(small, OPTIMIZER, jax.random.key(seed))
    run = Run(state, small, (), WARMUP)
    state, curve, seconds = read_on(run, shelf, seed, 0, steps, batch, even_marks(steps, 5))
    leaves = {f"leaf{n}": np.asarray(leaf) for n, leaf in enumerate(jax.tree.leaves(state))}
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, curve=np.asarray(curve), seconds=seconds, **leaves)
    part.rename(path)
    return jax.tree.unflatten(structure, list(leaves.values())), curve, seconds


class Run(NamedTuple):
    """A state to read on with: its sizes, its growths, and steps of warm-up for everything."""

    state: TrainState
    config: ModelConfig
    growths: tuple[Growth, ...]
    warmup: int


def even_marks(steps: int, count: int) -> set[int]:
    """Step numbers at which to measure, the first and the last among them."""
    return {round(steps * part / count) for part in range(count + 1)}


def read_on(run: Run, shelf: Shelf, seed, first, steps, batch, marks, rate=RATE):
    """The state after so many steps, [step, held-out nats] at marks, CPU seconds of a step."""
    windows = window_stream(shelf.books, seed=seed, pass_=0, context=SMALL["context"])
    step = StepConfig(run.config, OPTIMIZER, jnp.dtype("bfloat16"), run.growths)
    state = jax.tree.map(jnp.copy, run.state)
    curve = []
    seconds = []
    for number in range(steps + 1):
        if number in marks:
            curve.append([number, held_out_nats(state.params, shelf.held_out, step)])
        if number == steps:
            break
        started = time.process_time()
        now = rate * (min(1.0, (number + 1) / run.warmup) if run.warmup else 1.0)
        state, _ = train_step(state, windows.batch((first + number) * batch, batch), now, step)
        jax.block_until_ready(state)
        seconds.append(time.process_time() - started)
    return state, curve, float(np.median(seconds))


def held_out_nats(params, held_out, step: StepConfig) -> float:
    """Mean negative log-likelihood of the held-out targets, nats per token."""
    plain = step._replace(growths=())
    losses = [np.asarray(batch_losses(params, batch, plain)) for batch in held_out]
    weights = [batch.weights_BT for batch in held_out]
    total = sum(float(np.sum(a * b)) for a, b in zip(losses, weights, strict=True))
    return total / float(sum(np.sum(b) for b in weights))


def exact(small, big, base: TrainState, seed: int, first: int, *, filled: bool = False) -> Run:
    """An exact growth with its moments carried over."""
    moments = grow_moments(base.opt_state, make_optimizer(OPTIMIZER), small, big)
    if filled:
        moments = fill_second_moments(moments, base.opt_state)
    params = grow(base.params, small, big, jax.random.key(1000 + seed))
    return Run(TrainState(params, moments), big, (Growth(small, first),), 0)


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


def seed_recipe(small, big, base: TrainState, seed: int, first: int) -> Run:
    """The recipe this project is measured against: corner copy, noise, plain norm, state reset."""
    del first
    big = dataclasses.replace(big, norm_dim=big.d_model)
    params = init_state(big, OPTIMIZER, jax.random.key(1000 + seed)).params
    leaves, structure = jax.tree.flatten(params)
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
    return Run(TrainState(params, init_opt_state(params, OPTIMIZER)), big, (), 30)


def not_grown(small, big, base: TrainState, seed: int, first: int) -> Run:
    """The small model, read on."""
    del big, seed, first
    return Run(base, small, (), 0)


def large_config(small: ModelConfig) -> ModelConfig:
    """10.8 M parameters: larger on all four axes."""
    return grown_config(small, **LARGE)
