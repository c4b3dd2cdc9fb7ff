"""All four axes at once, in one fixed order, and the way back."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from grow.context import grow_context
from grow.depth import copy_layer, grow_depth, newborn_sources
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
    for number, (step, before, after) in enumerate(_steps(old, new)):
        step_key = jax.random.fold_in(key, number)
        params = step(params, before, after, step_key, noise=noise, release=release)
    return params


def grow_part(
    part_named: Callable[[str], Any],
    name: str,
    old: ModelConfig,
    new: ModelConfig,
    key: jax.Array,
    *,
    noise: float = 0.0,
) -> Any:
    """One part of what `grow` gives: 'embed', 'blocks/0', …, 'norm_out'.

    Args:
      part_named: gives the old model's part of that name; a newborn layer asks for its source.
      old, new, key, noise: as in `grow`.
    """
    kind, _, layer = name.partition("/")
    newborn = int(layer) - old.n_layers if layer else -1
    source = int(layer) if newborn < 0 and layer else -1
    if newborn >= 0:
        source = newborn_sources(old, new)[newborn]
    # Where it is in the tree decides what its newborn entries are drawn with.
    part = part_named(f"{kind}/{source}" if layer else name)
    tree = {kind: [*[None] * source, part] if layer else part}
    for number, (step, before, after) in enumerate(_steps(old, new)):
        step_key = jax.random.fold_in(key, number)
        if step is not grow_depth:
            tree = step(tree, before, after, step_key, noise=noise, release=False)
        elif newborn >= 0:
            copy = copy_layer(tree[kind][source], jax.random.fold_in(step_key, newborn), noise)
            tree = {kind: [copy]}
    return tree[kind][-1] if layer else tree[kind]


def _steps(old: ModelConfig, new: ModelConfig) -> tuple[tuple[Any, ModelConfig, ModelConfig], ...]:
    """One growth after another, each with the config before and after it."""
    require_growth(old, new, GROWABLE)
    wide = dataclasses.replace(old, d_model=new.d_model, d_ff=new.d_ff)
    headed = dataclasses.replace(
        wide,
        n_kv_heads=new.n_kv_heads,
        n_query_groups=new.n_query_groups,
        windows=new.windows[: old.n_layers],
    )
    deep = dataclasses.replace(headed, n_layers=new.n_layers, windows=new.windows)
    return (
        (grow_width, old, wide),
        (grow_heads, wide, headed),
        (grow_depth, headed, deep),
        (grow_context, deep, new),
    )


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
