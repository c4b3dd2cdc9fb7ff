"""The key/value cache of a conversation: arrays only, one record per layer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from model.config import ModelConfig


class LayerCache(NamedTuple):
    """Rotated keys and values of one layer; rows beyond the filled length are zero."""

    k_BSKH: jax.Array
    v_BSKH: jax.Array


def init_cache(config: ModelConfig, batch: int, length: int, dtype: DTypeLike) -> list[LayerCache]:
    """An empty cache for `length` tokens, one record per layer."""
    shape = (batch, length, config.n_kv_heads, config.head_dim)
    return [
        LayerCache(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype)) for _ in range(config.n_layers)
    ]


def append(cache: LayerCache, k_BTKH: jax.Array, v_BTKH: jax.Array, start: jax.Array) -> LayerCache:
    """The cache with T new rows written at position `start`."""
    return LayerCache(
        _write(cache.k_BSKH, k_BTKH, start),
        _write(cache.v_BSKH, v_BTKH, start),
    )


def _write(rows_BSKH: jax.Array, new_BTKH: jax.Array, start: jax.Array) -> jax.Array:
    return jax.lax.dynamic_update_slice_in_dim(
        rows_BSKH, new_BTKH.astype(rows_BSKH.dtype), start, 1
    )


def repeat(cache: list[LayerCache], candidates: int) -> list[LayerCache]:
    """The cache of one prompt, once for each candidate reply."""
    return [
        LayerCache(*(jnp.repeat(rows, candidates, axis=0) for rows in layer)) for layer in cache
    ]
