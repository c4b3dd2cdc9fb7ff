"""AdamW of one layer: clip by the layer's own gradient norm, Adam, decoupled decay, rate."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from train.moments import BYTES, KINDS, Kind, stored_as


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """AdamW's constants; the learning rate is an argument of every step instead.

    `clip_norm` bounds each layer's own gradient norm (there is no whole-model gradient).
    `weight_decay` is multiplied by the learning rate and spares one-axis leaves (gains).
    `sgd` follows the clipped gradient itself and leaves Adam's moments as they are. `moments` is
    what these are stored as between steps (`train/moments.py`).
    """

    b1: float = 0.9
    b2: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    sgd: bool = False
    moments: Kind = "float32"

    def __post_init__(self) -> None:
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be in [0, 1), got {getattr(self, name)}; correct it."
                )
        for name in ("eps", "weight_decay", "clip_norm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a number of at least 0, got {value}; correct it.")
        if self.moments not in KINDS:
            raise ValueError(
                f"moments must be one of {', '.join(KINDS)}, got {self.moments!r}; choose one."
            )

    @property
    def state_bytes(self) -> float:
        """Bytes of a float32 parameter and its two moments, about."""
        return 4 + 2 * BYTES[self.moments]


@functools.cache
def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformation:
    """Optax AdamW without its learning rate; `apply_gradients` supplies that."""
    adam = stored_as(
        config.moments, optax.scale_by_adam(b1=config.b1, b2=config.b2, eps=config.eps)
    )
    return optax.chain(
        _clip_by_norm(config.clip_norm),
        optax.GradientTransformation(adam.init, _unscaled) if config.sgd else adam,
        optax.add_decayed_weights(config.weight_decay, mask=_has_two_axes),
    )


def _clip_by_norm(limit: float) -> optax.GradientTransformation:
    """What `optax.clip_by_global_norm` does, as one factor for all entries.

    Optax divides every entry and then chooses, which XLA writes out and reads three times: 60
    instead of 44 bytes moved for a parameter.
    """

    def clip(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        # A gradient of zeros has no norm to divide by, and is within any limit.
        norm = jnp.maximum(optax.tree.norm(updates), jnp.finfo(jnp.float32).tiny)
        scale = jnp.minimum(1.0, limit / norm)
        return jax.tree.map(lambda update: update * scale.astype(update.dtype), updates), state

    return optax.GradientTransformation(optax.identity().init, clip)


def _unscaled(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
    del params
    return updates, state


def _has_two_axes(params: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.ndim >= 2, params)


def apply_gradients(
    optimizer: optax.GradientTransformation,
    params: Any,
    opt_state: Any,
    gradients: Any,
    learning_rate: jax.Array,
) -> tuple[Any, Any]:
    """One layer's parameters and optimizer state after one AdamW step."""
    updates, opt_state = optimizer.update(gradients, opt_state, params)
    params = jax.tree.map(lambda p, u: p - learning_rate.astype(p.dtype) * u, params, updates)
    return params, opt_state
