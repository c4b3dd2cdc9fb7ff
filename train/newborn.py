"""Newborn entries under Adam: they start gently, and are clipped apart from the old ones."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from grow.leaves import axes_by_kind, leaf_kind
from model.axes import FIELD_OF_LETTER
from model.config import ModelConfig
from train.optimizer import OptimizerConfig, make_optimizer

# Steps over which a newborn entry's rate rises to that of the old ones.
RAMP_STEPS = 100
# A bound that no gradient reaches: the parts are clipped before they are put together.
UNCLIPPED = 1e30


class Growth(NamedTuple):
    """The model before a growth, and how many training steps it had made by then."""

    before: ModelConfig
    born: int


def write_growths(growths: tuple[Growth, ...]) -> list[list[Any]]:
    """The growths as JSON values."""
    return [[growth.before.to_json(), growth.born] for growth in growths]


def read_growths(rows: list[list[Any]]) -> tuple[Growth, ...]:
    """The growths that `write_growths` wrote."""
    return tuple(Growth(ModelConfig.from_json(before), born) for before, born in rows)


def update_grown(
    params: Any,
    opt_state: Any,
    gradients: Any,
    learning_rate: jax.Array,
    layer: jax.Array | np.integer,
    model: ModelConfig,
    growths: tuple[Growth, ...],
    config: OptimizerConfig,
) -> tuple[Any, Any]:
    """One layer's parameters and optimizer state after one AdamW step of a model that grew.

    While a newborn entry's rate rises it is clipped with the other newborn ones, so that their
    larger gradients cannot shorten the old entries' step.

    Args:
      params, opt_state, gradients: of one part, as in `apply_gradients`.
      layer: its index, int32; -1 for a part that is no layer.
      model: the present sizes.
      growths: all growths of this life.
    """
    speeds = entry_speeds(params, layer, opt_state[1].count, growths)
    gradients = clip_apart(gradients, speeds, config.clip_norm)
    unclipped = make_optimizer(dataclasses.replace(config, clip_norm=UNCLIPPED))
    updates, opt_state = unclipped.update(gradients, opt_state, params)
    # Source: the width rule of muP, arXiv 2203.03466: a matrix learns slower as its input widens.
    width = model.norm_dim / model.d_model
    params = jax.tree.map(
        lambda p, u, speed: p - learning_rate * (width if p.ndim > 1 else 1.0) * speed * u,
        params,
        updates,
        speeds,
    )
    return params, opt_state


def entry_speeds(
    params: Any, layer: jax.Array | np.integer, count: jax.Array, growths: tuple[Growth, ...]
) -> Any:
    """What each entry's rate is multiplied with: 1 for old ones, at first little for newborn ones.

    Args:
      count: training steps so far, int32.
    """
    axes = {}
    for kind, letters in axes_by_kind(growths[0].before).items():
        axes[kind.split("/")[-1]] = letters

    def speed(path, leaf):
        letters = axes[leaf_kind(path).split("/")[-1]]
        speeds = jnp.ones(leaf.shape, leaf.dtype)
        for growth in growths:
            ramp = jnp.minimum(1.0, (count - growth.born + 1) / RAMP_STEPS)
            born = newborn_entries(leaf.shape, letters, layer, growth.before)
            speeds = jnp.where(born, jnp.minimum(speeds, ramp), speeds)
        return speeds

    return jax.tree.map_with_path(speed, params)


def clip_apart(gradients: Any, speeds: Any, clip_norm: float) -> Any:
    """The gradients with old and newborn entries each clipped by their own norm."""
    old = jax.tree.map(lambda g, speed: jnp.where(speed < 1, 0, g), gradients, speeds)
    new = jax.tree.map(lambda g, speed: jnp.where(speed < 1, g, 0), gradients, speeds)
    scales = [clip_norm / jnp.maximum(optax.tree.norm(part), clip_norm) for part in (old, new)]
    return jax.tree.map(lambda a, b: a * scales[0] + b * scales[1], old, new)


def newborn_entries(
    shape: tuple[int, ...], letters: str, layer: jax.Array | np.integer, before: ModelConfig
) -> jax.Array:
    """True where an entry was not there before: a new layer, or beyond an axis's old size."""
    found = jnp.broadcast_to(layer >= before.n_layers, shape)
    for axis, letter in enumerate(letters):
        index = jax.lax.broadcasted_iota(jnp.int32, shape, axis)
        found |= index >= getattr(before, FIELD_OF_LETTER[letter])
    return found
