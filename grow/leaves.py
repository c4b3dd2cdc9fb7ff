"""One leaf made larger along its named axes: the old block untouched, newborn entries by rule."""

import enum
import math
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from model.axes import FIELD_OF_LETTER, param_axes, shape_of
from model.config import ModelConfig


class Fill(enum.Enum):
    """What newborn entries hold.

    ZERO silences a new unit (all of a new connection's writers), RANDOM keeps the scale of the
    leaf's old block, MEAN is the mean of the old entries (gains, never 0).
    """

    ZERO = "zero"
    RANDOM = "random"
    MEAN = "mean"


# Leaf -> letter of the growing axis -> what its newborn entries hold.
Rules = Mapping[str, Mapping[str, Fill]]


def leaf_kind(path: tuple[Any, ...]) -> str:
    """The name of a leaf without its layer: 'blocks/attn/query'."""
    return "/".join(key.key for key in path if isinstance(key, jax.tree_util.DictKey))


def axes_by_kind(config: ModelConfig) -> dict[str, str]:
    """The axis string of every kind of leaf."""
    return {leaf_kind(path): axes for path, axes in jax.tree.leaves_with_path(param_axes(config))}


def extend_tree(
    params: Any,
    rules: Rules,
    old: ModelConfig,
    new: ModelConfig,
    key: jax.Array,
    *,
    noise: float,
    release: bool,
) -> Any:
    """Every leaf extended by its rule; a leaf that keeps its shape is passed on as it is.

    Args:
      params: a parameter tree, or some of its parts.
      noise: standard deviation of the entries that ZERO would silence, in units of their leaf's.
      release: an old leaf's memory is free as soon as its successor exists.

    Raises:
      ValueError: a leaf, or a growing axis of one, without a rule.
    """
    known = axes_by_kind(old)

    def change(path, leaf):
        kind = leaf_kind(path)
        if kind not in known or leaf.ndim != len(known[kind]):
            raise ValueError(
                f"growth has no rule for the leaf {kind} of {leaf.ndim} axes; declare its axes in "
                "model/axes.py and its rule in grow/."
            )
        leaf_key = jax.random.fold_in(key, zlib.crc32(jax.tree_util.keystr(path).encode()))
        if leaf.shape == shape_of(known[kind], new):
            return leaf
        grown = jnp.array(_extend(kind, leaf, known[kind], rules, old, new, leaf_key, noise))
        if release:
            grown.block_until_ready()
            leaf.delete()
        return grown

    return jax.tree.map_with_path(change, params)


def _extend(kind, leaf, axes, rules: Rules, old, new, key, noise) -> np.ndarray:
    # In NumPy: every shape is met once, and compiling for each would take longer than the work.
    values = np.asarray(leaf)
    for axis, letter in enumerate(axes):
        field = FIELD_OF_LETTER[letter]
        extra = getattr(new, field) - getattr(old, field)
        if not extra:
            continue
        fill = rules.get(kind, {}).get(letter)
        if fill is None:
            raise ValueError(
                f"growth has no rule for the axis {letter} ({field}) of the leaf {kind}; add it in "
                "grow/."
            )
        shape = (*values.shape[:axis], extra, *values.shape[axis + 1 :])
        born = fill_entries(fill, values, shape, jax.random.fold_in(key, axis), noise)
        values = np.concatenate([values, born], axis=axis)
    return values


def fill_entries(
    fill: Fill, values: np.ndarray, shape: tuple[int, ...], key: jax.Array, noise: float
) -> np.ndarray:
    """Newborn entries of a shape, at the scale of the leaf they join."""
    if fill is Fill.MEAN:
        return np.full(shape, np.mean(values), values.dtype)
    scale = 1.0 if fill is Fill.RANDOM else noise
    if not scale:
        return np.zeros(shape, values.dtype)
    count = math.prod(shape)
    # Drawn in powers of two, so that few sizes are compiled.
    enough = 1 << (count - 1).bit_length()
    draws = np.asarray(jax.random.normal(key, (enough,), values.dtype))
    return draws[:count].reshape(shape) * (np.std(values) * scale).astype(values.dtype)
