"""Losses as sums and weights, never means of means."""

import jax
import jax.numpy as jnp


def token_losses(logits_BTV: jax.Array, targets_BT: jax.Array) -> jax.Array:
    """Negative log-likelihood of every target, `nats_BT`."""
    normalizer_BT = jax.nn.logsumexp(logits_BTV, axis=-1)
    picked_BT = jnp.take_along_axis(logits_BTV, targets_BT[..., None], axis=-1)[..., 0]
    return normalizer_BT - picked_BT


def mean_loss(logits_BTV: jax.Array, targets_BT: jax.Array, weights_BT: jax.Array) -> jax.Array:
    """Weighted mean negative log-likelihood in nats per token; 0 where no token counts."""
    total = jnp.sum(token_losses(logits_BTV, targets_BT) * weights_BT)
    return total / jnp.maximum(jnp.sum(weights_BT), 1e-9)
