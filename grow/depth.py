"""Depth: copies of the layers on top, which write nothing into the stream at first."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from grow.leaves import Fill, fill_entries, leaf_kind
from grow.target import DEPTH, require_growth
from model.config import ModelConfig

# What a layer writes into the residual stream with.
WRITERS = ("attn/out", "mlp/down")


def newborn_sources(old: ModelConfig, new: ModelConfig) -> list[int]:
    """The layer that each newborn layer is a copy of, from the first one up."""
    return [layer % old.n_layers for layer in range(new.n_layers - old.n_layers)]


def grow_depth(
    params: Any,
    old: ModelConfig,
    new: ModelConfig,
    key: jax.Array,
    *,
    noise: float = 0.0,
    release: bool = False,
) -> Any:
    """The parameters with the layers of `new`, and the same logits to the bit.

    A layer whose output projections are 0 returns its input. The rest is a copy, because its
    features are useful already. Source: G_zero in depth and stacking on top, arXiv 2405.15319.

    Args:
      params: a tree of `old`.
      noise: standard deviation of the copies' writers, in units of the source's.
      release: nothing is given up here; all old layers stay.
    """
    del release
    require_growth(old, new, DEPTH)
    newborn = [
        copy_layer(params["blocks"][source], jax.random.fold_in(key, number), noise)
        for number, source in enumerate(newborn_sources(old, new))
    ]
    return {**params, "blocks": [*params["blocks"], *newborn]}


def copy_layer(block: Any, key: jax.Array, noise: float) -> Any:
    """A newborn layer: a copy that writes nothing into the stream, or noise."""

    def copy(path, leaf):
        kind = leaf_kind(path)
        if kind not in WRITERS:
            return jnp.array(np.asarray(leaf))
        leaf_key = jax.random.fold_in(key, WRITERS.index(kind))
        return jnp.array(fill_entries(Fill.ZERO, np.asarray(leaf), leaf.shape, leaf_key, noise))

    return jax.tree.map_with_path(copy, block)
