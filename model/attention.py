"""Softmax attention with its gradients written out: over whole windows, and over a cache."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from model.products import sum_dtype

# Queries attend in blocks of this many, each to the keys up to its own end.
QUERY_BLOCK = 64


def attend(
    q_BTKGH: jax.Array,
    k_BSKH: jax.Array,
    v_BSKH: jax.Array,
    seen_BKTS: jax.Array,
    scale: float,
    dtype: DTypeLike,
) -> jax.Array:
    """Softmax attention of queries over the keys they may see.

    Args:
      q_BTKGH, k_BSKH, v_BSKH: rotated heads.
      seen_BKTS: True where a query may look; every query must see at least one key.
      scale: what scores are multiplied with.
      dtype: what the products' inputs are rounded to; sums are float32 or wider.
    """
    q, k, v = (array.astype(dtype) for array in (q_BTKGH, k_BSKH, v_BSKH))
    return _weigh(q, k, v, seen_BKTS, scale)[0]


def _weigh(q_BTKGH, k_BSKH, v_BSKH, seen_BKTS, scale):
    """The weighted values, and the weights in the dtype of the inputs."""
    dtype = q_BTKGH.dtype
    total = sum_dtype(dtype)
    scores_BKGTS = jnp.einsum("btkgh,bskh->bkgts", q_BTKGH, k_BSKH, preferred_element_type=total)
    scores_BKGTS = jnp.where(seen_BKTS[:, :, None], scores_BKGTS * scale, jnp.finfo(total).min)
    weights_BKGTS = jax.nn.softmax(scores_BKGTS, axis=-1).astype(dtype)
    y_BTKGH = jnp.einsum("bkgts,bskh->btkgh", weights_BKGTS, v_BSKH, preferred_element_type=total)
    return y_BTKGH, weights_BKGTS


@partial(jax.custom_vjp, nondiff_argnums=(5, 6))
def attend_window(
    q_BTKGH: jax.Array,
    k_BTKH: jax.Array,
    v_BTKH: jax.Array,
    segments_BT: jax.Array,
    windows_K: jax.Array,
    scale: float,
    dtype: DTypeLike,
) -> jax.Array:
    """Causal attention over a whole window; keeps the heads once, and the weights of each block.

    Args:
      segments_BT: tokens attend only within equal numbers.
      windows_K: how far each key/value head looks back.
    """
    return _window_forward(q_BTKGH, k_BTKH, v_BTKH, segments_BT, windows_K, scale, dtype)[0]


def _window_forward(q_BTKGH, k_BTKH, v_BTKH, segments_BT, windows_K, scale, dtype):
    q, k, v = (array.astype(dtype) for array in (q_BTKGH, k_BTKH, v_BTKH))
    found, kept = [], []
    for start, stop in _blocks(q.shape[1]):
        seen_BKTS = _visible(jnp.arange(start, stop), jnp.arange(stop), windows_K) & (
            segments_BT[:, None, start:stop, None] == segments_BT[:, None, None, :stop]
        )
        y, weights = _weigh(q[:, start:stop], k[:, :stop], v[:, :stop], seen_BKTS, scale)
        found.append(y)
        kept.append(weights)
    return jnp.concatenate(found, axis=1), (q, k, v, kept)


def _window_backward(scale, dtype, residuals, dy_BTKGH):
    q, k, v, kept = residuals
    total = sum_dtype(dtype)
    dy_BTKGH = dy_BTKGH.astype(dtype)
    dq_blocks, dk_BSKH, dv_BSKH = [], 0.0, 0.0
    for (start, stop), weights in zip(_blocks(q.shape[1]), kept, strict=True):
        dy = dy_BTKGH[:, start:stop]
        product = partial(jnp.einsum, preferred_element_type=total)
        d_weights = product("btkgh,bskh->bkgts", dy, v[:, :stop])
        wide = weights.astype(total)
        inner = jnp.sum(d_weights * wide, axis=-1, keepdims=True)
        d_scores = (wide * (d_weights - inner) * scale).astype(dtype)
        dq_blocks.append(product("bkgts,bskh->btkgh", d_scores, k[:, :stop]))
        rest = [(0, 0), (0, q.shape[1] - stop), (0, 0), (0, 0)]
        dk_BSKH += jnp.pad(product("bkgts,btkgh->bskh", d_scores, q[:, start:stop]), rest)
        dv_BSKH += jnp.pad(product("bkgts,btkgh->bskh", weights, dy), rest)
    return jnp.concatenate(dq_blocks, axis=1), dk_BSKH, dv_BSKH, None, None


attend_window.defvjp(_window_forward, _window_backward)


def _blocks(length: int) -> list[tuple[int, int]]:
    return [(start, min(start + QUERY_BLOCK, length)) for start in range(0, length, QUERY_BLOCK)]


def _visible(queries_T: jax.Array, keys_S: jax.Array, windows_K: jax.Array) -> jax.Array:
    """`seen_1KTS`, True where a query may look at a key: not the future, not beyond the window."""
    distance_TS = queries_T[:, None] - keys_S[None]
    return ((distance_TS >= 0) & (distance_TS < windows_K[:, None, None]))[None]
