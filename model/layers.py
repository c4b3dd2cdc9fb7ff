"""The Linen modules of one block: norm, rotary attention and the gated feed-forward."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from model.axes import BLOCK_AXES, shape_of
from model.cache import LayerCache, look_up
from model.config import ModelConfig
from model.products import (
    attend,
    gated,
    multiply_rows,
    project,
    softmax_loss,
    sum_dtype,
    sum_of_squares,
)
from model.shared_cache import SharedCache, attend_shared

# Queries attend in blocks of this many, each to the keys up to its own end. Half as many make fewer
# products, but so many small functions that two cores wait for each other.
QUERY_BLOCK = 128


class Rope(NamedTuple):
    """Rotary cosines and sines by position and half head size: `cos_BTh`, `sin_BTh`."""

    cos_BTh: jax.Array
    sin_BTh: jax.Array


def rope_at(positions_BT: jax.Array, config: ModelConfig, dtype: DTypeLike) -> Rope:
    """The rotation of each position. Source: RoFormer, arXiv 2104.09864, half-split pairs."""
    half = config.head_dim // 2
    exponents_h = jnp.arange(half, dtype=sum_dtype(dtype)) / half
    angles_BTh = positions_BT[..., None] * config.rope_base**-exponents_h
    return Rope(jnp.cos(angles_BTh), jnp.sin(angles_BTh))


def rotate(x_BTKXH: jax.Array, rope: Rope) -> jax.Array:
    """The heads turned by their positions; pairs are (i, i + H/2)."""
    first, second = jnp.split(x_BTKXH, 2, axis=-1)
    spread = (slice(None), slice(None)) + (None,) * (x_BTKXH.ndim - 3)
    cos, sin = rope.cos_BTh[spread], rope.sin_BTh[spread]
    return jnp.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)


class Norm(nn.Module):
    """RMSNorm whose denominator is the stored `norm_dim`, not the present width.

    Source: growth form B: zero features change nothing. At birth it is RMSNorm, arXiv 1910.07467.
    """

    config: ModelConfig

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        gain_D = self.param("gain", nn.initializers.ones, (self.config.d_model,))
        mean_square_BT1 = sum_of_squares(x_BTD) / self.config.norm_dim
        return x_BTD * jax.lax.rsqrt(mean_square_BT1 + self.config.norm_eps) * gain_D


class Attention(nn.Module):
    """Grouped-query attention with factored projections and a window per key/value head."""

    config: ModelConfig
    dtype: DTypeLike

    def setup(self) -> None:
        c = self.config
        axes = BLOCK_AXES["attn"]
        reader = nn.initializers.normal(c.d_model**-0.5)
        self.query = self.param("query", reader, shape_of(axes["query"], c))
        self.key = self.param("key", reader, shape_of(axes["key"], c))
        self.value = self.param("value", reader, shape_of(axes["value"], c))
        self.out = self.param("out", nn.initializers.zeros, shape_of(axes["out"], c))

    def __call__(
        self, x_BTD: jax.Array, rope: Rope, segments_BT: jax.Array, windows_K: jax.Array
    ) -> jax.Array:
        """Attention over a whole window; nothing is seen across segments or from the future."""
        q_BTKGH, k_BTKH, v_BTKH = self._project_in(x_BTD, rope)
        length = x_BTD.shape[1]
        q_BKGTH, k_BKTH, v_BKTH = _heads_first(q_BTKGH, k_BTKH, v_BTKH)
        blocks = []
        for start in range(0, length, QUERY_BLOCK):
            stop = min(start + QUERY_BLOCK, length)
            seen_BKTS = _visible(
                jnp.arange(start, stop)[None], jnp.arange(stop)[None], windows_K
            ) & (segments_BT[:, None, start:stop, None] == segments_BT[:, None, None, :stop])
            q, k, v = q_BKGTH[:, :, :, start:stop], k_BKTH[:, :, :stop], v_BKTH[:, :, :stop]
            blocks.append(self._attend(q, k, v, seen_BKTS))
        return self._project_out(_heads_last(jnp.concatenate(blocks, axis=3)))

    def extend(
        self,
        x_BTD: jax.Array,
        rope: Rope,
        cache: LayerCache | Sequence[SharedCache],
        start: jax.Array,
        count: jax.Array,
    ) -> tuple[jax.Array, list[Any]]:
        """Attention of new tokens at `start`, `start`+1, … over the cache and themselves."""
        q_BTKGH, k_BTKH, v_BTKH = self._project_in(x_BTD, rope)
        found = []
        layers = []
        for heads in cache:
            q, k, v = (_pick(rows, heads.heads) for rows in (q_BTKGH, k_BTKH, v_BTKH))
            if isinstance(heads, SharedCache):
                y, heads = attend_shared(heads, q, k, v, start, self.config.attention_scale)
            else:
                heads, k_BSKH, v_BSKH, seen_TS = look_up(heads, k, v, start, count)
                arranged = _heads_first(q, k_BSKH, v_BSKH)
                y = _heads_last(self._attend(*arranged, seen_TS[None, None]))
            found.append(y)
            layers.append(heads)
        y_BTKGH = jnp.concatenate(found, axis=2)
        order_K = np.argsort([head for heads in cache for head in heads.heads])
        return self._project_out(_pick(y_BTKGH, tuple(map(int, order_K)))), layers

    def _project_in(self, x_BTD, rope):
        c = self.config
        batch, length, width = x_BTD.shape
        kernels = tuple(kernel.reshape(width, -1) for kernel in (self.query, self.key, self.value))
        q, k, v = project(x_BTD.reshape(-1, width), kernels, self.dtype)
        q_BTKGH = q.reshape(batch, length, c.n_kv_heads, c.n_query_groups, c.head_dim)
        k_BTKH = k.reshape(batch, length, c.n_kv_heads, c.head_dim)
        v_BTKH = v.reshape(batch, length, c.n_kv_heads, c.head_dim)
        return rotate(q_BTKGH, rope), rotate(k_BTKH, rope), v_BTKH

    def _attend(self, q_BKGTH, k_BKSH, v_BKSH, seen_BKTS):
        scale = self.config.attention_scale
        return attend(q_BKGTH, k_BKSH, v_BKSH, seen_BKTS, scale, self.dtype)

    def _project_out(self, y_BTKGH):
        batch, length = y_BTKGH.shape[:2]
        kernel_IO = self.out.reshape(-1, self.config.d_model)
        (y_MD,) = project(y_BTKGH.reshape(batch * length, -1), (kernel_IO,), self.dtype)
        return y_MD.reshape(batch, length, -1)


def _heads_first(
    q_BTKGH: jax.Array, k_BSKH: jax.Array, v_BSKH: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Once for all blocks of queries: in each product XLA would arrange its inputs anew."""
    q_BKGTH = jnp.transpose(q_BTKGH, (0, 2, 3, 1, 4))
    return q_BKGTH, jnp.swapaxes(k_BSKH, 1, 2), jnp.swapaxes(v_BSKH, 1, 2)


def _heads_last(y_BKGTH):
    return jnp.transpose(y_BKGTH, (0, 3, 1, 2, 4))


def _pick(rows_BTKX: jax.Array, heads: tuple[int, ...]) -> jax.Array:
    """Some key/value heads in the given order; all of them, as they are, cost nothing."""
    if heads == tuple(range(rows_BTKX.shape[2])):
        return rows_BTKX
    return rows_BTKX[:, :, np.array(heads)]


def _visible(
    query_positions_BT: jax.Array, key_positions_BS: jax.Array, windows_K: jax.Array
) -> jax.Array:
    """True where a query may look at a key: not the future, not beyond the head's window."""
    distance_BTS = query_positions_BT[:, :, None] - key_positions_BS[:, None, :]
    distance_B1TS = distance_BTS[:, None]
    return (distance_B1TS >= 0) & (distance_B1TS < windows_K[None, :, None, None])


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate) · up). Source: arXiv 2002.05202."""

    config: ModelConfig
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        c = self.config
        axes = BLOCK_AXES["mlp"]
        reader = nn.initializers.normal(c.d_model**-0.5)
        gate_DF = self.param("gate", reader, shape_of(axes["gate"], c))
        up_DF = self.param("up", reader, shape_of(axes["up"], c))
        down_FD = self.param("down", nn.initializers.zeros, shape_of(axes["down"], c))
        gate_MF, up_MF = project(x_BTD.reshape(-1, c.d_model), (gate_DF, up_DF), self.dtype)
        (y_MD,) = project(gated(gate_MF, up_MF), (down_FD,), self.dtype)
        return y_MD.reshape(x_BTD.shape)


class Block(nn.Module):
    """One pre-norm layer: x + attention(norm x), then x + feed-forward(norm x).

    What writes to the stream (`out`, `down`) begins at zero, so a newborn layer changes nothing;
    it learns faster so (docs/first-run.md), and growth relies on the same.
    """

    config: ModelConfig
    dtype: DTypeLike

    def setup(self) -> None:
        self.norm_attn = Norm(self.config)
        self.attn = Attention(self.config, self.dtype)
        self.norm_mlp = Norm(self.config)
        self.mlp = FeedForward(self.config, self.dtype)

    def __call__(
        self, x_BTD: jax.Array, rope: Rope, segments_BT: jax.Array, windows_K: jax.Array
    ) -> jax.Array:
        """The residual stream after this layer, over whole windows."""
        x_BTD = x_BTD + self.attn(self.norm_attn(x_BTD), rope, segments_BT, windows_K)
        return x_BTD + self.mlp(self.norm_mlp(x_BTD))

    def extend(
        self,
        x_BTD: jax.Array,
        rope: Rope,
        cache: LayerCache | Sequence[SharedCache],
        start: jax.Array,
        count: jax.Array,
    ) -> tuple[jax.Array, list[Any]]:
        """The residual stream after this layer for new tokens, and the longer cache."""
        y_BTD, cache = self.attn.extend(self.norm_attn(x_BTD), rope, cache, start, count)
        x_BTD = x_BTD + y_BTD
        return x_BTD + self.mlp(self.norm_mlp(x_BTD)), cache


class Embedding(nn.Module):
    """Token ids to the residual stream, by a row of the table."""

    config: ModelConfig

    @nn.compact
    def __call__(self, tokens_BT: jax.Array) -> jax.Array:
        init = nn.initializers.normal(0.02)
        table_VD = self.param("table", init, shape_of("VD", self.config))
        return table_VD[tokens_BT]


class Head(nn.Module):
    """The residual stream to logits; the table is the embedding's when the two are tied."""

    config: ModelConfig
    dtype: DTypeLike

    def setup(self) -> None:
        init = nn.initializers.normal(0.02)
        self.table = self.param("table", init, shape_of("VD", self.config))

    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        """Logits of the next token, `logits_BTV`."""
        x_MD, table_VD = self._inputs(x_BTD)
        logits_MV = multiply_rows(x_MD.astype(self.dtype), table_VD.astype(self.dtype), 1)
        return logits_MV.reshape(*x_BTD.shape[:-1], -1)

    def loss(
        self, x_BTD: jax.Array, targets_BT: jax.Array, weights_BT: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The weighted sum of the targets' losses in nats, and every loss, `nats_BT`."""
        x_MD, table_VD = self._inputs(x_BTD)
        loss, nats_M = softmax_loss(
            x_MD, table_VD, targets_BT.reshape(-1), weights_BT.reshape(-1), self.dtype
        )
        return loss, nats_M.reshape(targets_BT.shape)

    def _inputs(self, x_BTD):
        return x_BTD.reshape(-1, x_BTD.shape[-1]) * self.config.logit_scale, self.table
