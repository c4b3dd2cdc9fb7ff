"""Newborn entries under Adam: they start gently, and are clipped apart from the old ones."""

import dataclasses

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from grow.leaves import axes_by_kind, leaf_kind
from model.axes import FIELD_OF_LETTER
from model.config import ModelConfig
from train.optimizer import OptimizerConfig, make_optimizer


UNCLIPPED = 1e30


class Growth(NamedTuple):
    """The model before a growth, and how many training steps it had made by then."""

    before: ModelConfig
    born: int
    ramp: int = 50
    age_aware: bool = False
    width_rate: float = 1.0


def update_grown(
    params: Any,
    opt_state: Any,
    gradients: Any,
    learning_rate: jax.Array,
    layer: jax.Array,
    growths: tuple[Growth, ...],
    config: OptimizerConfig,
) -> tuple[Any, Any]:
    count = opt_state[1].count
    masks, factors = {}, {}
    newborn = jax.tree.map(lambda p: jnp.zeros(p.shape, bool), params)
    factor = jax.tree.map(lambda p: jnp.ones((), p.dtype), params)
    for growth in growths:
        age = count - growth.born + 1
        mask = newborn_entries(params, layer, growth.before)
        speed = jnp.minimum(1.0, age / growth.ramp) if growth.ramp else 1.0
        newborn = jax.tree.map(lambda a, b: a | b, newborn, mask)
        factor = jax.tree.map(lambda f, m: jnp.where(m, f * speed, f), factor, mask)
        if growth.width_rate != 1.0:
            factor = jax.tree.map(
                lambda f, p: f * growth.width_rate if p.ndim > 1 else f, factor, params
            )
    gradients = clip_apart(gradients, newborn, config.clip_norm)
    free = make_optimizer(dataclasses.replace(config, clip_norm=UNCLIPPED))
    updates, opt_state = free.update(gradients, opt_state, params)
    if growths[-1].age_aware:
        adam = opt_state[1]
        a = (count - growths[-1].born + 1).astype(jnp.float32)

        def corrected(u, m, v, p, n):
            c = (m / (1 - config.b1**a)) / (jnp.sqrt(v / (1 - config.b2**a)) + config.eps)
            c = c + config.weight_decay * p if p.ndim > 1 else c
            return jnp.where(n, c, u)

        updates = jax.tree.map(corrected, updates, adam.mu, adam.nu, params, newborn)
    params = jax.tree.map(lambda p, u, f: p - learning_rate * f * u, params, updates, factor)
    return params, opt_state


def newborn_entries(params: Any, layer: jax.Array, before: ModelConfig) -> Any:
    axes = {kind.split("/")[-1]: letters for kind, letters in axes_by_kind(before).items()}

    def mask(path, leaf):
        found = jnp.broadcast_to(layer >= before.n_layers, leaf.shape)
        for axis, letter in enumerate(axes[leaf_kind(path).split("/")[-1]]):
            index = jax.lax.broadcasted_iota(jnp.int32, leaf.shape, axis)
            found |= index >= getattr(before, FIELD_OF_LETTER[letter])
        return found

    return jax.tree.map_with_path(mask, params)


def clip_apart(gradients: Any, newborn: Any, clip_norm: float) -> Any:
    def scale(part):
        norm = optax.tree.norm(part)
        return jnp.where(norm < clip_norm, 1.0, clip_norm / norm)

    old = scale(jax.tree.map(lambda g, n: jnp.where(n, 0, g), gradients, newborn))
    new = scale(jax.tree.map(lambda g, n: jnp.where(n, g, 0), gradients, newborn))
    return jax.tree.map(lambda g, n: g * jnp.where(n, new, old), gradients, newborn)
