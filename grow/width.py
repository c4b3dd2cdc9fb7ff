"""Width: more features in the residual stream, more feed-forward units."""

from typing import Any

import jax

from grow.leaves import Fill, Rules, extend_tree
from grow.target import WIDTH, require_growth
from model.config import ModelConfig

# Writers stay silent in new features and from new units; readers of new features are random, so
# that whatever a writer learns is read at once. Never both zero, and never gate = up = 0.
RULES: Rules = {
    "embed/table": {"D": Fill.ZERO},
    "head/table": {"D": Fill.RANDOM},
    "norm_out/gain": {"D": Fill.MEAN},
    "blocks/norm_attn/gain": {"D": Fill.MEAN},
    "blocks/norm_mlp/gain": {"D": Fill.MEAN},
    "blocks/attn/query": {"D": Fill.RANDOM},
    "blocks/attn/key": {"D": Fill.RANDOM},
    "blocks/attn/value": {"D": Fill.RANDOM},
    "blocks/attn/out": {"D": Fill.ZERO},
    "blocks/mlp/gate": {"D": Fill.RANDOM, "F": Fill.RANDOM},
    "blocks/mlp/up": {"D": Fill.RANDOM, "F": Fill.RANDOM},
    "blocks/mlp/down": {"D": Fill.ZERO, "F": Fill.ZERO},
}


def grow_width(
    params: Any,
    old: ModelConfig,
    new: ModelConfig,
    key: jax.Array,
    *,
    noise: float = 0.0,
    release: bool = False,
) -> Any:
    """The parameters with `d_model` and `d_ff` of `new`, and the same logits.

    New features are 0 wherever they are written, and the norm divides by the stored `norm_dim`,
    so no old number is rescaled. Source: growth form B; the rule of one zero side per connection
    after Gesmundo & Maile, arXiv 2308.06103.

    Args:
      params: a tree of `old`, or some of its parts.
      noise, release: see `extend_tree`.
    """
    require_growth(old, new, WIDTH)
    return extend_tree(params, RULES, old, new, key, noise=noise, release=release)
