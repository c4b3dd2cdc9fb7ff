"""The optimizer state grown by the same axis strings as the weights."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from grow.depth import newborn_sources
from grow.surgery import old_block
from grow.target import GROWABLE, require_growth
from model.axes import param_axes, shape_of
from model.config import ModelConfig


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
    axes = param_axes(old)
    grown = {
        name: [_pad(block, axes[name][0], optimizer, new, release=release) for block in part]
        if name == "blocks"
        else _pad(part, axes[name], optimizer, new, release=release)
        for name, part in opt_state.items()
    }
    for source in newborn_sources(old, new):
        grown["blocks"].append(_blank(grown["blocks"][source], optimizer, axes["blocks"][0]))
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
    axes = param_axes(old)[kind]
    if not layer:
        return _pad(part_named(name), axes, optimizer, new)
    newborn = int(layer) - old.n_layers
    if newborn < 0:
        return _pad(part_named(name), axes[0], optimizer, new)
    source = newborn_sources(old, new)[newborn]
    grown = _pad(part_named(f"{kind}/{source}"), axes[0], optimizer, new)
    return _blank(grown, optimizer, axes[0])


def _pad(state, axes, optimizer, new, *, release=False):
    """One part's state in the new shapes."""

    def pad(leaf, letters):
        more = [
            (0, after - before)
            for before, after in zip(leaf.shape, shape_of(letters, new), strict=True)
        ]
        if not any(after for _, after in more):
            return leaf
        grown = jnp.array(np.pad(np.asarray(leaf), more))
        if release:
            grown.block_until_ready()
            leaf.delete()
        return grown

    return _apply(pad, state, axes, optimizer)


def _blank(state, optimizer, axes):
    """A state of the same shapes without moments."""

    def blank(leaf, _):
        return np.zeros(leaf.shape, leaf.dtype)

    # The count is copied too: a training step donates its arrays.
    block = _apply(blank, state, axes, optimizer)
    return jax.tree.map(lambda leaf: jnp.array(np.asarray(leaf)), block)


def _apply(change, state, axes, optimizer):
    return optax.tree.map_params(
        optimizer.init, change, state, axes, transform_non_params=_require_scalar
    )


def shrink_moments(
    opt_state: dict[str, Any],
    optimizer: optax.GradientTransformation,
    new: ModelConfig,
    old: ModelConfig,
) -> dict[str, Any]:
    """The old block of every moment: what `grow_moments` began with, to the bit."""
    require_growth(old, new, GROWABLE)
    axes = param_axes(old)

    def cut(state, part_axes):
        return optax.tree.map_params(
            optimizer.init, lambda leaf, letters: old_block(leaf, letters, old), state, part_axes
        )

    return {
        name: [cut(block, axes["blocks"][0]) for block in part[: old.n_layers]]
        if name == "blocks"
        else cut(part, axes[name])
        for name, part in opt_state.items()
    }


def _require_scalar(leaf: Any) -> Any:
    if jnp.ndim(leaf):
        raise ValueError(
            f"growth has no rule for an optimizer array of shape {leaf.shape} that belongs to no "
            "parameter; give it one in grow/moments.py."
        )
    return leaf
