"""The same function with the constants that other programs fix: for readers of exported weights."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from model.axes import param_axes
from model.config import ModelConfig

Tree = dict[str, Any]


def standard_config(config: ModelConfig, context: int | None = None) -> ModelConfig:
    """The config of `standard_params`: norms over the width, scores over √H, every window whole.

    The width becomes a multiple of the query heads, by features that stay zero: transformers 5
    refuses any other. Source: growth form B to A, gain·√(n/D) and eps·n/D for a stored
    denominator n at width D.

    Args:
      config: any, a grown one too.
      context: of the result; without it the windows' own, when they are all the same.

    Raises:
      ValueError: windows that differ, or are shorter than `context`; names both.
    """
    shortest = shortest_window(config)
    longest = max(min(window, config.context) for row in config.windows for window in row)
    if context is None and shortest != longest:
        raise ValueError(
            f"other programs know one window for all heads, this model has windows from {shortest} "
            f"to {longest} tokens; export with --context={shortest}, where all are the same."
        )
    context = shortest if context is None else context
    if not 1 <= context <= shortest:
        raise ValueError(
            f"an exported context must be from 1 to {shortest} tokens, the shortest window of this "
            f"model, got {context}; choose one of those."
        )
    width = -(-config.d_model // config.n_heads) * config.n_heads
    return dataclasses.replace(
        config,
        d_model=width,
        context=context,
        windows=((context,) * config.n_kv_heads,) * config.n_layers,
        norm_dim=width,
        norm_eps=config.norm_eps * (config.norm_dim / width),
        attention_scale=config.head_dim**-0.5,
        logit_scale=1.0,
    )


def shortest_window(config: ModelConfig) -> int:
    """The longest context, in tokens, in which all heads see everything."""
    return min(config.context, *(window for row in config.windows for window in row))


def standard_params(params: Tree, config: ModelConfig, standard: ModelConfig) -> Tree:
    """Parameters that under `standard` give the logits of `params` under `config`.

    Equal to rounding; a leaf whose constants are standard already keeps its bits.

    Args:
      params: tree with the axes of `param_axes(config)`.
      standard: `standard_config(config)`, for any context.
    """
    gain = math.sqrt(config.norm_dim / standard.norm_dim)
    query = config.attention_scale / config.head_dim**-0.5

    def block(block: Tree) -> Tree:
        return {
            **block,
            "norm_attn": _scaled(block["norm_attn"], "gain", gain),
            "attn": _scaled(block["attn"], "query", query),
            "norm_mlp": _scaled(block["norm_mlp"], "gain", gain),
        }

    scaled = {
        **params,
        "blocks": [block(part) for part in params["blocks"]],
        "norm_out": _scaled(params["norm_out"], "gain", gain * config.logit_scale),
    }
    more = standard.d_model - config.d_model
    return jax.tree.map(lambda axes, leaf: _widened(leaf, axes, more), param_axes(config), scaled)


def _scaled(part: Tree, name: str, factor: float) -> Tree:
    """The part with one leaf times `factor`, rounded once."""
    leaf = np.asarray(part[name])
    return {**part, name: (leaf.astype(np.float64) * factor).astype(leaf.dtype)}


def _widened(leaf: np.ndarray, axes: str, more: int) -> np.ndarray:
    """The leaf with `more` zeros at the end of its width, if it has one."""
    return np.pad(leaf, [(0, more if letter == "D" else 0) for letter in axes]) if more else leaf
