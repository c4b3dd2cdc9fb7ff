"""All four axes at once, in one fixed order, and the way back."""

import dataclasses
from typing import Any

import jax

from grow.context import grow_context
from grow.depth import grow_depth
from grow.heads import grow_heads
from grow.target import GROWABLE, require_growth
from grow.width import grow_width
from model.axes import param_axes, shape_of
from model.config import ModelConfig
from model.transformer import check_params


def grow(
    params: Any,
    old: ModelConfig,
    new: ModelConfig,
    key: jax.Array,
    *,
    noise: float = 0.0,
    release: bool = False,
) -> Any:
    """The parameters of a larger model that says exactly the same.

    Args:
      params: a tree of `old`; leaves that keep their shape are in the result as they are.
      old, new: the present config, and one made by `grown_config`.
      key: of the newborn entries; each leaf and axis draws from its own.
      noise: 0 is exact; otherwise the standard deviation of the entries that exactness wants 0,
        in units of their leaf's.
      release: True donates `params`: an old leaf is gone as soon as its successor exists.

    Raises:
      ValueError: a config that is no growth, or a leaf without a rule.
    """
    check_params(params, old)
    require_growth(old, new, GROWABLE)
    wide = dataclasses.replace(old, d_model=new.d_model, d_ff=new.d_ff)
    headed = dataclasses.replace(
        wide,
        n_kv_heads=new.n_kv_heads,
        n_query_groups=new.n_query_groups,
        windows=new.windows[: old.n_layers],
    )
    deep = dataclasses.replace(headed, n_layers=new.n_layers, windows=new.windows)
    steps = (
        (grow_width, old, wide),
        (grow_heads, wide, headed),
        (grow_depth, headed, deep),
        (grow_context, deep, new),
    )
    for number, (step, before, after) in enumerate(steps):
        step_key = jax.random.fold_in(key, number)
        params = step(params, before, after, step_key, noise=noise, release=release)
    return params


def shrink(params: Any, new: ModelConfig, old: ModelConfig) -> Any:
    """The old block of every leaf, and the old layers: what `grow` began with, to the bit.

    Args:
      params: a tree of `new`.
      old: the config before the growth.
    """
    check_params(params, new)
    require_growth(old, new, GROWABLE)
    kept = {**params, "blocks": params["blocks"][: old.n_layers]}
    return jax.tree.map(lambda leaf, axes: old_block(leaf, axes, old), kept, param_axes(old))


def old_block(leaf: Any, axes: str, old: ModelConfig) -> Any:
    """The entries of a grown leaf that were there before, in the first corner of every axis."""
    return leaf[tuple(slice(size) for size in shape_of(axes, old))]
