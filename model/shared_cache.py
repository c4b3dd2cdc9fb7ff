"""The key/value cache of several replies to one prompt: the prompt's rows are there only once."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from model.cache import HeadCache, LayerCache, head_groups
from model.config import ModelConfig
from model.products import sum_dtype


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class SharedCache:
    """Rotated keys and values of the heads `heads` of a layer, float32 or wider.

    Of P rows for the prompt the first `length` count; candidate c has R rows for what it adds. With
    a single query a product is bound by memory, and XLA reads float32 faster than it rounds.
    """

    k_KPH: jax.Array
    v_KPH: jax.Array
    k_CKRH: jax.Array
    v_CKRH: jax.Array
    length: jax.Array
    heads: tuple[int, ...] = dataclasses.field(metadata={"static": True})
    window: int = dataclasses.field(metadata={"static": True})


def init_prompt_cache(config: ModelConfig, length: int, dtype) -> list[LayerCache]:
    """An empty cache for one prompt of at most `length` tokens; every head keeps all of them."""
    return [
        [_init_heads(config, length, window, heads, dtype) for window, heads in head_groups(row)]
        for row in config.windows
    ]


def _init_heads(config, length, window, heads, dtype) -> HeadCache:
    empty_1PKH = jnp.zeros((1, length, len(heads), config.head_dim), dtype)
    return HeadCache(empty_1PKH, empty_1PKH, heads, window, ring=False)


def share(
    cache: Sequence[LayerCache], length: jax.Array, candidates: int, rows: int
) -> list[list[SharedCache]]:
    """The cache of `candidates` replies of at most `rows` tokens after a prompt of `length`."""
    return [[_share_heads(heads, length, candidates, rows) for heads in layer] for layer in cache]


def _share_heads(heads: HeadCache, length, candidates: int, rows: int) -> SharedCache:
    dtype = sum_dtype(heads.k_BRKH.dtype)
    k_KPH, v_KPH = (
        jnp.swapaxes(rows_1PKH[0], 0, 1).astype(dtype) for rows_1PKH in (heads.k_BRKH, heads.v_BRKH)
    )
    empty_CKRH = jnp.zeros((candidates, k_KPH.shape[0], rows, k_KPH.shape[2]), dtype)
    return SharedCache(k_KPH, v_KPH, empty_CKRH, empty_CKRH, length, heads.heads, heads.window)


def attend_shared(
    cache: SharedCache,
    q_C1KGH: jax.Array,
    k_C1KH: jax.Array,
    v_C1KH: jax.Array,
    position: jax.Array,
    scale: float,
) -> tuple[jax.Array, SharedCache]:
    """Attention of one new token of every candidate, `y_C1KGH`, and the cache with its row."""
    k_CKRH, v_CKRH = (
        jax.lax.dynamic_update_slice_in_dim(
            rows, jnp.swapaxes(new, 1, 2).astype(rows.dtype), position - cache.length, 2
        )
        for rows, new in ((cache.k_CKRH, k_C1KH), (cache.v_CKRH, v_C1KH))
    )
    q_CKGH = q_C1KGH[:, 0].astype(k_CKRH.dtype) * scale
    prompt_P, own_R = jnp.arange(cache.k_KPH.shape[1]), jnp.arange(k_CKRH.shape[2])
    seen_P = (prompt_P < cache.length) & (position - prompt_P < cache.window)
    behind_R = position - cache.length - own_R
    seen_R = (behind_R >= 0) & (behind_R < cache.window)
    scores_CKGS = jnp.concatenate(
        [
            jnp.einsum("ckgh,kph->ckgp", q_CKGH, cache.k_KPH),
            jnp.einsum("ckgh,ckrh->ckgr", q_CKGH, k_CKRH),
        ],
        axis=-1,
    )
    seen_S = jnp.concatenate([seen_P, seen_R])
    least = jnp.finfo(scores_CKGS.dtype).min
    weights_CKGS = jax.nn.softmax(jnp.where(seen_S, scores_CKGS, least), axis=-1)
    before_CKGP, own_CKGR = jnp.split(weights_CKGS, [len(prompt_P)], axis=-1)
    y_CKGH = jnp.einsum("ckgp,kph->ckgh", before_CKGP, cache.v_KPH)
    y_CKGH += jnp.einsum("ckgr,ckrh->ckgh", own_CKGR, v_CKRH)
    return y_CKGH[:, None], dataclasses.replace(cache, k_CKRH=k_CKRH, v_CKRH=v_CKRH)
