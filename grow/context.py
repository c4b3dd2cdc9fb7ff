"""Context: a longer text at once, with old heads looking as far back as they always did."""

from typing import Any

import jax

from grow.target import CONTEXT, require_growth
from model.config import ModelConfig


def grow_context(
    params: Any,
    old: ModelConfig,
    new: ModelConfig,
    key: jax.Array,
    *,
    noise: float = 0.0,
    release: bool = False,
) -> Any:
    """The same parameters, fit for the context of `new`.

    Positions are relative and the windows of old heads stay in the config, so nothing changes at
    any position, within the old context or beyond it; new reach comes with new key/value heads or
    layers alone.

    Args:
      params: a tree of `old`.
      key, noise, release: no entry is born here.
    """
    del key, noise, release
    require_growth(old, new, CONTEXT)
    return params
