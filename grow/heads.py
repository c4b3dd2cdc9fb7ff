"""Heads: more key/value heads, more query heads in each of their groups."""

from typing import Any

import jax

from grow.leaves import Fill, Rules, extend_tree
from grow.target import HEADS, require_growth
from model.config import ModelConfig

# A new query head of an old group shares that group's keys and values, so only its rows of the
# output projection can silence it; new groups are silenced in the same way.
RULES: Rules = {
    "blocks/attn/query": {"K": Fill.RANDOM, "G": Fill.RANDOM},
    "blocks/attn/key": {"K": Fill.RANDOM},
    "blocks/attn/value": {"K": Fill.RANDOM},
    "blocks/attn/out": {"K": Fill.ZERO, "G": Fill.ZERO},
}


def grow_heads(
    params: Any,
    old: ModelConfig,
    new: ModelConfig,
    key: jax.Array,
    *,
    noise: float = 0.0,
    release: bool = False,
) -> Any:
    """The parameters with `n_kv_heads` and `n_query_groups` of `new`, and the same logits.

    K and G are axes of their own, so an old query head stays with its key/value head. The head
    size never grows: rotary frequencies and the attention scale depend on it.

    Args:
      params: a tree of `old`, or some of its parts.
      noise, release: see `extend_tree`.
    """
    require_growth(old, new, HEADS)
    return extend_tree(params, RULES, old, new, key, noise=noise, release=release)
