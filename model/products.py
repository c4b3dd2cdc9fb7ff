"""Matrix products in the form that is fast on a CPU, with the gradients written out.

XLA's CPU backend runs `x[m,k] @ w[k,n]` and `g[m,n] @ w[k,n]^T` in bfloat16 at full speed, but a
weight gradient `x[m,k]^T @ g[m,n]` only at float32 speed unless the transposed activations are
already in memory. So the forward pass keeps them transposed; as residuals they cross a jit border
between the forward and the backward function, which stops XLA from folding the transpose back.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def sum_dtype(dtype: DTypeLike) -> jnp.dtype:
    """The dtype in which products of `dtype` inputs are summed: at least float32."""
    return jnp.promote_types(dtype, jnp.float32)


def multiply(left: jax.Array, right: jax.Array, left_axis: int, right_axis: int) -> jax.Array:
    """The product of two matrices over one axis of each, summed in `sum_dtype`."""
    return jax.lax.dot_general(
        left,
        right,
        (((left_axis,), (right_axis,)), ((), ())),
        preferred_element_type=sum_dtype(left.dtype),
    )


# XLA reads a bfloat16 matrix ten times faster for so many rows than for one.
LEAST_ROWS = 4


def multiply_rows(x_MI: jax.Array, kernel: jax.Array, axis: int) -> jax.Array:
    """The product of rows with a matrix over its `axis`, also fast for a single narrow row."""
    rows = x_MI.shape[0]
    if rows > 1 or x_MI.dtype.itemsize > 2:
        return multiply(x_MI, kernel, 1, axis)
    padded_MI = jnp.pad(x_MI, ((0, LEAST_ROWS - rows), (0, 0)))
    return multiply(padded_MI, kernel, 1, axis)[:rows]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def project(
    x_MI: jax.Array, kernels_IO: tuple[jax.Array, ...], dtype: DTypeLike
) -> tuple[jax.Array, ...]:
    """The products of one input with several kernels: inputs in `dtype`, sums in float32.

    Args:
      x_MI: rows by inputs.
      kernels_IO: matrices of inputs by outputs; the outputs may differ.
      dtype: what the products' inputs are rounded to.
    """
    return _project_forward(x_MI, kernels_IO, dtype)[0]


def _project_forward(x_MI, kernels_IO, dtype):
    x_MI = x_MI.astype(dtype)
    copies_IO = tuple(kernel.astype(dtype) for kernel in kernels_IO)
    outputs = tuple(multiply_rows(x_MI, copy, 0) for copy in copies_IO)
    return outputs, (x_MI.T, copies_IO)


def _project_backward(dtype, residuals, gradients_MO):
    x_IM, copies_IO = residuals
    gradients_MO = [gradient.astype(dtype) for gradient in gradients_MO]
    pairs = list(zip(gradients_MO, copies_IO, strict=True))
    dx_MI = sum(multiply(gradient, copy, 1, 1) for gradient, copy in pairs)
    return dx_MI, tuple(multiply(x_IM, gradient, 1, 0) for gradient in gradients_MO)


project.defvjp(_project_forward, _project_backward)


@jax.custom_vjp
def gated(gate_MF: jax.Array, up_MF: jax.Array) -> jax.Array:
    """silu(gate) · up; the backward pass computes the pointwise parts again from its inputs."""
    return jax.nn.silu(gate_MF) * up_MF


def _gated_forward(gate_MF, up_MF):
    return gated(gate_MF, up_MF), (gate_MF, up_MF)


def _gated_backward(residuals, dy_MF):
    gate_MF, up_MF = residuals
    sigmoid_MF = jax.nn.sigmoid(gate_MF)
    d_silu_MF = sigmoid_MF * (1 + gate_MF * (1 - sigmoid_MF))
    return dy_MF * up_MF * d_silu_MF, dy_MF * gate_MF * sigmoid_MF


gated.defvjp(_gated_forward, _gated_backward)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def attend(
    q_BKGTH: jax.Array,
    k_BKSH: jax.Array,
    v_BKSH: jax.Array,
    seen_BKTS: jax.Array,
    scale: float,
    dtype: DTypeLike,
) -> jax.Array:
    """Softmax attention of queries over the keys they may see, `y_BKGTH`; keeps only the weights.

    Args:
      q_BKGTH, k_BKSH, v_BKSH: rotated heads, in the order that products over them read.
      seen_BKTS: True where a query may look; every query must see at least one key.
      scale: what scores are multiplied with.
      dtype: what the products' inputs are rounded to; sums are float32 or wider.
    """
    return _attend_forward(q_BKGTH, k_BKSH, v_BKSH, seen_BKTS, scale, dtype)[0]


def _attend_forward(q_BKGTH, k_BKSH, v_BKSH, seen_BKTS, scale, dtype):
    total = sum_dtype(dtype)
    q, k, v = (array.astype(dtype) for array in (q_BKGTH, k_BKSH, v_BKSH))
    scores_BKGTS = jnp.einsum("bkgth,bksh->bkgts", q, k, preferred_element_type=total) * scale
    scores_BKGTS = jnp.where(seen_BKTS[:, :, None], scores_BKGTS, jnp.finfo(total).min)
    weights_BKGTS = jax.nn.softmax(scores_BKGTS, axis=-1).astype(dtype)
    y_BKGTH = jnp.einsum("bkgts,bksh->bkgth", weights_BKGTS, v, preferred_element_type=total)
    return y_BKGTH, (q, k, v, weights_BKGTS)


def _attend_backward(scale, dtype, residuals, dy_BKGTH):
    q, k, v, weights = residuals
    total = sum_dtype(dtype)
    dy = dy_BKGTH.astype(dtype)
    dv_BKSH = jnp.einsum("bkgts,bkgth->bksh", weights, dy, preferred_element_type=total)
    d_weights = jnp.einsum("bkgth,bksh->bkgts", dy, v, preferred_element_type=total)
    wide = weights.astype(total)
    inner = jnp.sum(d_weights * wide, axis=-1, keepdims=True)
    d_scores = (wide * (d_weights - inner) * scale).astype(dtype)
    dq_BKGTH = jnp.einsum("bkgts,bksh->bkgth", d_scores, k, preferred_element_type=total)
    dk_BKSH = jnp.einsum("bkgts,bkgth->bksh", d_scores, q, preferred_element_type=total)
    return dq_BKGTH, dk_BKSH, dv_BKSH, None


attend.defvjp(_attend_forward, _attend_backward)


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def softmax_loss(
    x_MD: jax.Array,
    table_VD: jax.Array,
    targets_M: jax.Array,
    weights_M: jax.Array,
    dtype: DTypeLike,
) -> tuple[jax.Array, jax.Array]:
    """The weighted sum of the targets' negative log-likelihoods in nats, and all of them, `nats_M`.

    The gradient of the logits is made while they are in the cache and kept in `dtype`, once as it
    is and once transposed, so that both products of the backward pass have their fast form.

    Args:
      x_MD: normed residual stream, a row per token.
      table_VD: output matrix, the logit scale included in x.
      targets_M: ids of the next tokens, int32.
      weights_M: what each token's loss is multiplied with. Only the sum has a gradient.
    """
    return _softmax_loss_forward(x_MD, table_VD, targets_M, weights_M, dtype)[0]


# Rows whose logits are made, used and forgotten at once, so that they stay in the cache.
LOGIT_ROWS = 256


def _softmax_loss_forward(x_MD, table_VD, targets_M, weights_M, dtype):
    x_MD, table_VD = x_MD.astype(dtype), table_VD.astype(dtype)
    rows = x_MD.shape[0]
    block = LOGIT_ROWS if rows % LOGIT_ROWS == 0 else rows

    def some_rows(_, given):
        x_MD, targets_M, weights_M = given
        return None, _row_losses(x_MD, targets_M, weights_M, table_VD, dtype)

    given = (x_MD, targets_M, weights_M)
    given = tuple(array.reshape(-1, block, *array.shape[1:]) for array in given)
    _, (nats, d_logits) = jax.lax.scan(some_rows, None, given)
    nats_M, d_logits_MV = nats.reshape(rows), d_logits.reshape(rows, -1)
    loss = jnp.sum(nats_M * weights_M)
    return (loss, nats_M), (x_MD, table_VD, d_logits_MV, d_logits_MV.T)


def _row_losses(x_MD, targets_M, weights_M, table_VD, dtype):
    """Nats of each row, and the gradients of its logits in `dtype`."""
    logits_MV = multiply(x_MD, table_VD, 1, 1)
    largest_M1 = jnp.max(logits_MV, axis=-1, keepdims=True)
    # Without the barrier XLA computes every exponential twice.
    powers_MV = jax.lax.optimization_barrier(jnp.exp(logits_MV - largest_M1))
    sums_M1 = jnp.sum(powers_MV, axis=-1, keepdims=True)
    picked_M1 = jnp.take_along_axis(logits_MV, targets_M[:, None], axis=-1)
    nats_M = (jnp.log(sums_M1) + largest_M1 - picked_M1)[:, 0]
    chosen_MV = jnp.arange(table_VD.shape[0])[None] == targets_M[:, None]
    d_logits_MV = (powers_MV / sums_M1 - chosen_MV) * weights_M[:, None]
    return nats_M, d_logits_MV.astype(dtype)


def _softmax_loss_backward(_, residuals, gradients):
    d_loss, _ = gradients
    x_MD, table_VD, d_logits_MV, d_logits_VM = residuals
    dx_MD = multiply(d_logits_MV, table_VD, 1, 0) * d_loss
    d_table_VD = multiply(d_logits_VM, x_MD, 1, 0) * d_loss
    return dx_MD, d_table_VD, None, None


softmax_loss.defvjp(_softmax_loss_forward, _softmax_loss_backward)


# Columns that are summed apart, so that a wider row adds zeros to them and changes nothing.
LANES = 64


@jax.custom_vjp
def sum_of_squares(x_MD: jax.Array) -> jax.Array:
    """The sum of squares of each row, `sums_M1`; zeros behind a row change no bit of it.

    A plain reduction chooses its order by the row's length, so that a grown model would round
    otherwise than the old one.
    """
    length = x_MD.shape[-1]
    padding = [(0, 0)] * (x_MD.ndim - 1) + [(0, -length % LANES)]
    squares_MD = jnp.pad(x_MD * x_MD, padding)
    sums_ML = squares_MD[..., :LANES]
    for start in range(LANES, squares_MD.shape[-1], LANES):
        sums_ML = sums_ML + squares_MD[..., start : start + LANES]
    return jnp.sum(sums_ML, axis=-1, keepdims=True)


def _sum_of_squares_forward(x_MD):
    return sum_of_squares(x_MD), x_MD


def _sum_of_squares_backward(x_MD, gradient_M1):
    return (2 * x_MD * gradient_M1,)


sum_of_squares.defvjp(_sum_of_squares_forward, _sum_of_squares_backward)
