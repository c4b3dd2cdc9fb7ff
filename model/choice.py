"""The token of a row of logits that is chosen."""

import jax
import jax.numpy as jnp

# Values of a row that are compared at once.
LANES = 128


def largest(values_BV: jax.Array) -> jax.Array:
    """The index of each row's largest value, int32; the first of equal ones.

    Lanes are compared at once: XLA's own argmax goes through a row one value after another.
    """
    length = values_BV.shape[1]
    padding = [(0, 0), (0, -length % LANES)]
    values_BV = jnp.pad(values_BV, padding, constant_values=-jnp.inf)
    lanes_BNL = values_BV.reshape(values_BV.shape[0], -1, LANES)
    most_B1 = jnp.max(jnp.max(lanes_BNL, axis=1), axis=1, keepdims=True)
    ids_BV = jnp.where(values_BV >= most_B1, jnp.arange(values_BV.shape[1]), length - 1)
    return jnp.min(jnp.min(ids_BV.reshape(lanes_BNL.shape), axis=1), axis=1).astype(jnp.int32)
