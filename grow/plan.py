"""What a growth would make, before anything is made: sizes, bytes, time per step."""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

import jax

from grow.target import grown_config
from model.axes import count_parameters, param_axes, shape_of
from model.config import ModelConfig

# Ratio -> the sizes it multiplies.
RATIOS: dict[str, tuple[str, ...]] = {
    "width": ("d_model", "d_ff"),
    "ffn": ("d_ff",),
    "heads": ("n_kv_heads",),
    "groups": ("n_query_groups",),
    "depth": ("n_layers",),
    "context": ("context",),
}
# A master weight and two moments, float32.
STATE_BYTES = 12
LARGEST_RATIO = 64
# Numbers a ratio may be off by, so that 1.333333 of 384 is 512.
SLACK = 1e-5


class Plan(NamedTuple):
    """A growth to come. Bytes are of weights and moments; `step_ratio` is time per token."""

    old: ModelConfig
    new: ModelConfig
    parameters_before: int
    parameters_after: int
    state_bytes: int
    extra_bytes: int
    step_ratio: float
    remark: str


def plan_growth(
    old: ModelConfig,
    ratios: Mapping[str, float],
    sizes: Mapping[str, int] | None = None,
    *,
    state_bytes: float = STATE_BYTES,
) -> Plan:
    """The plan of a growth by ratios, by target sizes, or both.

    Args:
      ratios: by the names of RATIOS; `ffn` goes before `width` for the feed-forward part.
      sizes: target sizes by field, which go before ratios.
      state_bytes: of a parameter and its moments.

    Raises:
      ValueError: nothing would grow, something would shrink, or a ratio makes a fraction.
    """
    sizes = dict(sizes or {})
    # A ratio of more than one size comes last, so that a size named on its own goes before it.
    for name, ratio in sorted(ratios.items(), key=lambda pair: len(RATIOS[pair[0]])):
        fields = [field for field in RATIOS[name] if field not in sizes]
        sizes |= _multiplied(old, name, ratio, fields)
    new = grown_config(old, **sizes)
    if new == old:
        raise ValueError(
            "growing needs a ratio or a larger size, got a model of the same sizes; give --width, "
            "--depth, --heads, --groups, --ffn or --context, such as --depth=2."
        )
    before, after = count_parameters(old), count_parameters(new)
    return Plan(
        old=old,
        new=new,
        parameters_before=before,
        parameters_after=after,
        state_bytes=math.ceil(state_bytes * after),
        extra_bytes=math.ceil(state_bytes * (after - before)) + 8 * _largest_leaf(new),
        step_ratio=flops_per_token(new) / flops_per_token(old),
        remark=_remark(old, new),
    )


def flops_per_token(config: ModelConfig) -> float:
    """Multiplications and additions of one training step, per token.

    Six per matrix entry (forward, and two products backward), and twelve per attended key and
    number of a head. A tied table counts once, as the head.
    """
    gains = (2 * config.n_layers + 1) * config.d_model
    lookup = 0 if config.tied_embedding else config.vocab_size * config.d_model
    keys = sum(min(window, config.context / 2) for row in config.windows for window in row)
    attention = 12 * keys * config.n_query_groups * config.head_dim
    return 6 * (count_parameters(config) - gains - lookup) + attention


def _multiplied(old: ModelConfig, name: str, ratio: float, fields: list[str]) -> dict[str, int]:
    if not (math.isfinite(ratio) and 1 <= ratio <= LARGEST_RATIO):
        raise ValueError(
            f"{name} is a ratio from 1 to {LARGEST_RATIO}, got {ratio:g}; give a ratio such as 2, "
            "or the target size by its own flag."
        )
    made = {field: getattr(old, field) * ratio for field in fields}
    if all(abs(size - round(size)) <= SLACK * size for size in made.values()):
        return {field: round(size) for field, size in made.items()}
    unit = math.gcd(*(getattr(old, field) for field in fields))
    low, high = Fraction(math.floor(ratio * unit), unit), Fraction(math.ceil(ratio * unit), unit)
    shown = " and ".join(f"{field} {size:g}" for field, size in made.items())
    near = " and ".join(f"{float(legal):.7g}" for legal in (low, high))
    raise ValueError(
        f"{name} {ratio:g} would make {shown}, want whole numbers; the nearest ratios that fit are "
        f"{near}."
    )


def _largest_leaf(config: ModelConfig) -> int:
    """Entries of the largest leaf."""
    sizes = jax.tree.map(lambda axes: math.prod(shape_of(axes, config)), param_axes(config))
    return max(jax.tree.leaves(sizes))


def _remark(old: ModelConfig, new: ModelConfig) -> str:
    """What the owner should know beyond the numbers."""
    furthest = max(window for row in new.windows for window in row)
    if new.context > old.context and furthest < new.context:
        return (
            f"no head will look back further than {furthest} tokens; grow heads or depth too for "
            "more reach."
        )
    return ""
