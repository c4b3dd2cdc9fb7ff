"""The optimizer state grown with the weights: in the shapes that the new model's would have."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from grow.depth import newborn_sources
from grow.target import GROWABLE, require_growth
from model.config import ModelConfig
from model.transformer import abstract_params


def grow_moments(
    opt_state: dict[str, Any],
    optimizer: optax.GradientTransformation,
    old: ModelConfig,
    new: ModelConfig,
    *,
    release: bool = False,
) -> dict[str, Any]:
    """Each part's optimizer state in the new shapes: old moments to the bit, newborn ones 0.

    Old gradients are the same after a growth, so old moments stay right unscaled. The moments of a
    copied layer are 0 as well: an inherited momentum would belong to another unit.

    Args:
      opt_state: one state of `optimizer` per part: embed, every block, norm_out, head.
      release: True donates the state: an old leaf is gone as soon as its successor exists.

    Raises:
      ValueError: an array of the state that belongs to no parameter.
    """
    require_growth(old, new, GROWABLE)
    for name, part in opt_state.items():
        for state in part if name == "blocks" else [part]:
            _require_known(state, optimizer)
    wanted = _abstract(optimizer, new)
    grown = {
        name: [_pad(block, wanted[name][0], release=release) for block in part]
        if name == "blocks"
        else _pad(part, wanted[name], release=release)
        for name, part in opt_state.items()
    }
    for source in newborn_sources(old, new):
        grown["blocks"].append(_blank(grown["blocks"][source]))
    return grown


def grow_part_moments(
    part_named: Callable[[str], Any],
    name: str,
    optimizer: optax.GradientTransformation,
    old: ModelConfig,
    new: ModelConfig,
) -> Any:
    """The optimizer state of one part of what `grow_moments` gives: 'embed', 'blocks/0', ….

    Args:
      part_named: gives the old state of that name; a newborn layer asks for its source.
    """
    kind, _, layer = name.partition("/")
    wanted = _abstract(optimizer, new)[kind]
    if not layer:
        return _pad(part_named(name), wanted)
    newborn = int(layer) - old.n_layers
    if newborn < 0:
        return _pad(part_named(name), wanted[0])
    source = newborn_sources(old, new)[newborn]
    return _blank(_pad(part_named(f"{kind}/{source}"), wanted[0]))


def shrink_moments(
    opt_state: dict[str, Any],
    optimizer: optax.GradientTransformation,
    new: ModelConfig,
    old: ModelConfig,
) -> dict[str, Any]:
    """The old block of every moment: what `grow_moments` began with, to the bit."""
    require_growth(old, new, GROWABLE)
    wanted = _abstract(optimizer, old)

    def cut(state, part):
        return jax.tree.map(lambda leaf, like: leaf[tuple(map(slice, like.shape))], state, part)

    return {
        name: [cut(block, wanted["blocks"][0]) for block in part[: old.n_layers]]
        if name == "blocks"
        else cut(part, wanted[name])
        for name, part in opt_state.items()
    }


def _abstract(optimizer: optax.GradientTransformation, config: ModelConfig) -> dict[str, Any]:
    """The shapes of each part's state, of the first block for all, without any memory.

    They say themselves how an optimizer stores its arrays, whatever it is.
    """
    return {
        name: [jax.eval_shape(optimizer.init, part[0])]
        if name == "blocks"
        else jax.eval_shape(optimizer.init, part)
        for name, part in abstract_params(config).items()
    }


def _pad(state, wanted, *, release=False):
    """One part's state in the new shapes, with zeros at the end of every axis."""

    def pad(leaf, like):
        more = [(0, after - before) for before, after in zip(leaf.shape, like.shape, strict=True)]
        if not any(after for _, after in more):
            return leaf
        grown = jnp.array(np.pad(np.asarray(leaf), more))
        if release:
            grown.block_until_ready()
            leaf.delete()
        return grown

    return jax.tree.map(pad, state, wanted)


def _require_known(state: Any, optimizer: optax.GradientTransformation) -> None:
    """Nothing; refuses an array that belongs to no parameter, for who knows how it should grow."""

    def require_scalar(leaf: Any) -> Any:
        if jnp.ndim(leaf):
            raise ValueError(
                f"growth has no rule for an optimizer array of shape {leaf.shape} that belongs to "
                "no parameter; give it one in grow/moments.py."
            )
        return leaf

    optax.tree.map_params(
        optimizer.init, lambda leaf: leaf, state, transform_non_params=require_scalar
    )


def _blank(state):
    """A state of the same shapes without moments; the count is copied: a step donates it."""
    return jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype) if leaf.ndim else jnp.array(leaf), state
    )
