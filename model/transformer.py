"""The whole model as plain functions over {'embed', 'blocks': [...], 'norm_out'}."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from model.axes import param_axes
from model.config import ModelConfig
from model.layers import Block, Embedding, Head, Norm, Rope, rope_at

Params = dict[str, Any]


def init_params(config: ModelConfig, key: jax.Array) -> Params:
    """Random parameters of a new model, float32, one tree per layer."""
    params: Params = {"blocks": []}
    for name, part in init_parts(config, key):
        if name.startswith("blocks/"):
            params["blocks"].append(part)
        else:
            params[name] = part
    return params


def init_parts(config: ModelConfig, key: jax.Array) -> Iterator[tuple[str, Params]]:
    """(name, parameters) of each part of a new model: embed, blocks/0, …, norm_out, head.

    Each part draws from its own key, so that a deeper model begins with the same first layers.
    """
    x_BTD = jnp.zeros((1, 1, config.d_model))
    zeros_BT = jnp.zeros((1, 1), jnp.int32)
    rope = rope_at(zeros_BT, config, x_BTD.dtype)
    embed_key, block_key, head_key = (jax.random.fold_in(key, part) for part in range(3))
    init_embed, init_block, init_norm, init_head = _initializers(config)
    yield "embed", init_embed(embed_key, zeros_BT)["params"]
    for layer, windows_K in enumerate(layer_windows(config)):
        layer_key = jax.random.fold_in(block_key, layer)
        yield (
            f"blocks/{layer}",
            init_block(layer_key, x_BTD, rope, zeros_BT, windows_K)["params"],
        )
    yield "norm_out", init_norm(head_key, x_BTD)["params"]
    if not config.tied_embedding:
        yield "head", init_head(head_key, x_BTD)["params"]


@functools.cache
def _initializers(config: ModelConfig) -> tuple[Callable[..., Any], ...]:
    """Each part's initial values as a compiled function; all layers share one."""
    modules = (
        Embedding(config),
        Block(config, jnp.float32),
        Norm(config),
        Head(config, jnp.float32),
    )
    return tuple(jax.jit(module.init) for module in modules)


@functools.partial(jax.jit, static_argnames=("dtype",))
def compute_copy(params: Params, dtype: DTypeLike) -> Params:
    """The parameters with matrices rounded to what products use; gains stay as they are."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if leaf.ndim > 1 else leaf, params)


def abstract_params(config: ModelConfig) -> Params:
    """Shapes and dtypes of a config's parameters, without any memory."""
    return jax.eval_shape(functools.partial(init_params, config), jax.random.key(0))


def layer_windows(config: ModelConfig) -> list[jax.Array]:
    """The windows of each layer's key/value heads, int32."""
    return [jnp.asarray(row, jnp.int32) for row in config.windows]


def head_table(params: Params, config: ModelConfig) -> dict[str, jax.Array]:
    """The parameters that turn the last residual stream into logits, besides the norm."""
    return params["embed"] if config.tied_embedding else params["head"]


def embed(params: dict[str, jax.Array], tokens_BT: jax.Array, config: ModelConfig) -> jax.Array:
    """The residual stream before the first layer."""
    return _run(Embedding(config), params, tokens_BT)


def apply_block(
    params: dict[str, Any],
    x_BTD: jax.Array,
    rope: Rope,
    segments_BT: jax.Array,
    windows_K: jax.Array,
    config: ModelConfig,
    dtype: DTypeLike,
) -> jax.Array:
    """The residual stream after one layer, over whole windows."""
    return _run(Block(config, dtype), params, x_BTD, rope, segments_BT, windows_K)


def apply_head(
    norm: dict[str, jax.Array],
    head: dict[str, jax.Array],
    x_BTD: jax.Array,
    config: ModelConfig,
    dtype: DTypeLike,
) -> jax.Array:
    """Logits of the next token, float32 or wider."""
    x_BTD = _run(Norm(config), norm, x_BTD)
    return _run(Head(config, dtype), head, x_BTD)


def head_loss(
    norm: dict[str, jax.Array],
    head: dict[str, jax.Array],
    x_BTD: jax.Array,
    targets_BT: jax.Array,
    weights_BT: jax.Array,
    config: ModelConfig,
    dtype: DTypeLike,
) -> tuple[jax.Array, jax.Array]:
    """The weighted sum of the targets' negative log-likelihoods in nats, and each, `nats_BT`.

    Made for gradients, which only the sum has.
    """
    x_BTD = _run(Norm(config), norm, x_BTD)
    return _run(Head(config, dtype), head, x_BTD, targets_BT, weights_BT, method="loss")


def window_rope(tokens_BT: jax.Array, config: ModelConfig, dtype: DTypeLike) -> Rope:
    """The rotation of a window's positions 0, 1, …, the same for every row."""
    return rope_at(jnp.arange(tokens_BT.shape[1])[None], config, dtype)


def forward(
    params: Params,
    tokens_BT: jax.Array,
    segments_BT: jax.Array,
    config: ModelConfig,
    dtype: DTypeLike = jnp.float32,
) -> jax.Array:
    """Logits of every next token, `logits_BTV`: the model in one pure function.

    Args:
      params: tree with the axes of `param_axes(config)`.
      tokens_BT: token ids, int32.
      segments_BT: tokens attend only within equal numbers, int32.
      dtype: what matrix products round their inputs to; sums are float32 or wider.
    """
    check_params(params, config)
    x_BTD = embed(params["embed"], tokens_BT, config)
    rope = window_rope(tokens_BT, config, dtype)
    for block, windows_K in zip(params["blocks"], layer_windows(config), strict=True):
        x_BTD = apply_block(block, x_BTD, rope, segments_BT, windows_K, config, dtype)
    return apply_head(params["norm_out"], head_table(params, config), x_BTD, config, dtype)


def extend(
    params: Params,
    tokens_BT: jax.Array,
    cache: Sequence[Any],
    start: jax.Array,
    config: ModelConfig,
    dtype: DTypeLike,
    count: jax.Array | None = None,
) -> tuple[jax.Array, list[Any]]:
    """The last residual stream of new tokens at `start`, …, and the longer cache.

    Args:
      cache: a `LayerCache` per layer, or a list of `SharedCache`, which takes one token at a time.
      count: how many of the new tokens count, all by default; the others are padding behind them.
    """
    count = jnp.int32(tokens_BT.shape[1]) if count is None else count
    x_BTD = embed(params["embed"], tokens_BT, config)
    rope = rope_at(start + jnp.arange(tokens_BT.shape[1])[None], config, dtype)
    block = Block(config, dtype)
    layers = []
    for block_params, layer_cache in zip(params["blocks"], cache, strict=True):
        x_BTD, layer_cache = _run(
            block, block_params, x_BTD, rope, layer_cache, start, count, method="extend"
        )
        layers.append(layer_cache)
    return x_BTD, layers


def check_params(params: Params, config: ModelConfig) -> None:
    """Nothing; refuses a tree whose structure is not that of the config.

    Raises:
      ValueError: names the first parts that are missing or unexpected.
    """
    want = jax.tree.structure(param_axes(config))
    got = jax.tree.structure(params)
    if want != got:
        raise ValueError(
            f"the parameter tree does not fit the config: got {got}, want {want}; "
            "give the tree's own config."
        )


def _run(module: nn.Module, params: Any, *args: Any, method: str | None = None) -> Any:
    return module.apply({"params": params}, *args, method=method)
