"""The key/value cache of a conversation: arrays only, one record per layer.

A head that looks `window` tokens back needs no older keys, so its rows are a ring: position p lies
in row p mod window. Heads of one layer that look equally far share arrays.
"""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from model.config import ModelConfig


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class HeadCache:
    """Rotated keys and values of the heads `heads` of a layer, `k_BRKH` and `v_BRKH`.

    R rows: `window` in a ring, otherwise one for each token there can be. Rows that hold nothing
    yet are zero.
    """

    k_BRKH: jax.Array
    v_BRKH: jax.Array
    heads: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    window: int = dataclasses.field(metadata={"static": True})
    ring: bool = dataclasses.field(metadata={"static": True})


LayerCache = list[HeadCache]


def init_cache(config: ModelConfig, batch: int, length: int, dtype: DTypeLike) -> list[LayerCache]:
    """An empty cache for `length` tokens, one record per layer."""
    return [
        [
            _init_heads(config, batch, length, window, heads, dtype)
            for window, heads in head_groups(windows_K)
        ]
        for windows_K in config.windows
    ]


def head_groups(windows_K: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """Each window of a layer with the key/value heads that have it."""
    return [
        (window, tuple(head for head, found in enumerate(windows_K) if found == window))
        for window in dict.fromkeys(windows_K)
    ]


def _init_heads(config, batch, length, window, heads, dtype) -> HeadCache:
    shape = (batch, min(window, length), len(heads), config.head_dim)
    return HeadCache(
        jnp.zeros(shape, dtype), jnp.zeros(shape, dtype), heads, window, ring=window < length
    )


def cache_bytes(cache: Sequence[LayerCache]) -> int:
    """The bytes of all keys and values."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(cache))


def look_up(
    cache: HeadCache, k_BTKH: jax.Array, v_BTKH: jax.Array, start: jax.Array, count: jax.Array
) -> tuple[HeadCache, jax.Array, jax.Array, jax.Array]:
    """The cache with T new rows from position `start` on, and what the new tokens may look at.

    Args:
      count: how many of the new tokens count; the others are padding behind them.

    Returns:
      The new cache, keys and values of S rows, and `seen_TS`: which row each new token sees.
    """
    length = k_BTKH.shape[1]
    queries_T = start + jnp.arange(length)
    if cache.ring and length > 1:
        old_R = _positions(cache, start)
        keys_S = jnp.concatenate([old_R, queries_T])
        k_BSKH, v_BSKH = (
            jnp.concatenate([rows, new.astype(rows.dtype)], axis=1)
            for rows, new in ((cache.k_BRKH, k_BTKH), (cache.v_BRKH, v_BTKH))
        )
        cache = _turn(cache, k_BTKH, v_BTKH, start, count)
    else:
        row = start % cache.k_BRKH.shape[1] if cache.ring else start
        k_BSKH, v_BSKH = (
            jax.lax.dynamic_update_slice_in_dim(rows, new.astype(rows.dtype), row, 1)
            for rows, new in ((cache.k_BRKH, k_BTKH), (cache.v_BRKH, v_BTKH))
        )
        cache = dataclasses.replace(cache, k_BRKH=k_BSKH, v_BRKH=v_BSKH)
        keys_S = _positions(cache, start + length)
    distance_TS = queries_T[:, None] - keys_S[None]
    seen_TS = (distance_TS >= 0) & (distance_TS < cache.window) & (keys_S >= 0)
    return cache, k_BSKH, v_BSKH, seen_TS


def _positions(cache: HeadCache, filled: jax.Array) -> jax.Array:
    """The position in each row after so many tokens, int32; negative where there is none yet."""
    rows_R = np.arange(cache.k_BRKH.shape[1])
    if not cache.ring:
        return jnp.asarray(rows_R)
    return filled - 1 - (filled - 1 - rows_R) % len(rows_R)


def _turn(cache: HeadCache, k_BTKH, v_BTKH, start, count) -> HeadCache:
    """The ring after several new tokens: each row holds the last position that belongs there."""
    new_R = _positions(cache, start + count) - start
    chosen_R = jnp.clip(new_R, 0, k_BTKH.shape[1] - 1)
    kept_R11 = (new_R < 0)[:, None, None]
    k_BRKH, v_BRKH = (
        jnp.where(kept_R11, rows, new[:, chosen_R].astype(rows.dtype))
        for rows, new in ((cache.k_BRKH, k_BTKH), (cache.v_BRKH, v_BTKH))
    )
    return dataclasses.replace(cache, k_BRKH=k_BRKH, v_BRKH=v_BRKH)
