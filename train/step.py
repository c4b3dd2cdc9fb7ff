"""The training step, a layer at a time: a Python loop around jitted pure functions.

Each function is compiled once and used for every layer, so depth costs no compilation, no gradient
of the whole model ever exists, and a layer is updated as soon as its gradient is there.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from model.config import ModelConfig
from model.layers import Rope
from model.transformer import (
    apply_block,
    apply_head,
    embed,
    head_loss,
    head_table,
    layer_windows,
    window_rope,
)
from train.loss import token_losses
from train.newborn import Growth, update_grown
from train.optimizer import OptimizerConfig, apply_gradients, make_optimizer
from train.state import TrainState
from train.store import forward_weights, in_memory, open_step
from train.windows import Batch


class StepConfig(NamedTuple):
    """What the compiled functions are made of; hashable, so equal configs compile once.

    `growths` are those of this life so far; newborn entries begin gently. With `remat` the backward
    pass makes a layer's residuals again from its input: less memory, more time, the same bits.
    """

    model: ModelConfig
    optimizer: OptimizerConfig
    dtype: DTypeLike
    growths: tuple[Growth, ...] = ()
    remat: bool = False


# The layer index of the parts around the layers.
NO_LAYER = np.int32(-1)

_static = partial(jax.jit, static_argnames=("config",))


class _Around(NamedTuple):
    """What every layer looks at besides its input."""

    rope: Rope
    segments_BT: jax.Array
    windows_LK: list[jax.Array]


# One call for all of it: each costs 0.2 to 0.6 ms of a core.
@_static
def _begin(params, tokens_BT, segments_BT, config: StepConfig):
    """The stream before the first layer, and what all layers look at."""
    rope = window_rope(tokens_BT, config.model, config.dtype)
    around = _Around(rope, segments_BT, layer_windows(config.model))
    return embed(params, tokens_BT, config.model), around


@_static
def _block(params, x_BTD, rope, segments_BT, windows_K, config: StepConfig):
    return apply_block(params, x_BTD, rope, segments_BT, windows_K, config.model, config.dtype)


@_static
def _block_forward(params, x_BTD, rope, segments_BT, windows_K, config: StepConfig):
    def block(params, x_BTD):
        return apply_block(params, x_BTD, rope, segments_BT, windows_K, config.model, config.dtype)

    return jax.vjp(block, params, x_BTD)


@_static
def _head_forward(norm, head, x_BTD, targets_BT, weights_BT, config: StepConfig):
    """The mean loss, the function back to the last norm, the table and the stream, every loss."""
    weights_BT = weights_BT / jnp.maximum(jnp.sum(weights_BT), 1e-9)

    def loss(norm, head, x_BTD):
        return head_loss(norm, head, x_BTD, targets_BT, weights_BT, config.model, config.dtype)

    return jax.vjp(loss, norm, head, x_BTD, has_aux=True)


@jax.jit
def _head_backward(backward, loss):
    return backward(jnp.ones_like(loss))


# Gradients and update are two functions: in one, XLA writes the clipped gradients out in between,
# and the update took 28 instead of 10 ms of a layer of 8.6 M parameters.
@jax.jit
def _gradients_of(backward, dy_BTD):
    return backward(dy_BTD)


@partial(jax.jit, donate_argnums=(2,), keep_unused=True)
def _block_backward(backward, dy_BTD, spare):
    """Gradients of a layer, in the memory of `spare`, which is gone, and of its input."""
    # Memory that the system gives anew would be cleared page by page, for every layer.
    del spare
    return backward(dy_BTD)


@_static
def _head_losses(norm, head, x_BTD, targets_BT, config: StepConfig):
    logits_BTV = apply_head(norm, head, x_BTD, config.model, config.dtype)
    return token_losses(logits_BTV, targets_BT)


@partial(jax.jit, static_argnames=("config",), donate_argnums=(0, 1))
def _apply(params, opt_state, gradients, learning_rate, layer, config: StepConfig):
    return _update(params, opt_state, gradients, learning_rate, config, layer)


# A function of its own, which adds in place; within the update XLA copies the table first.
@partial(jax.jit, donate_argnums=(0,))
def _add_embedded(gradients, tokens_BT, dx_BTD):
    """The embedding's gradient; `gradients` holds the tied head's part, or zeros, and is gone."""
    dx_ND = dx_BTD.reshape(-1, dx_BTD.shape[-1])
    return {"table": gradients["table"].at[tokens_BT.reshape(-1)].add(dx_ND)}


def _update(params, opt_state, gradients, learning_rate, config: StepConfig, layer=NO_LAYER):
    if config.growths:
        return update_grown(
            params,
            opt_state,
            gradients,
            learning_rate,
            layer,
            config.model,
            config.growths,
            config.optimizer,
        )
    optimizer = make_optimizer(config.optimizer)
    return apply_gradients(optimizer, params, opt_state, gradients, learning_rate)


def train_step(
    state: TrainState, batch: Batch, learning_rate: float, config: StepConfig
) -> tuple[TrainState, jax.Array]:
    """The state after one AdamW step on one batch, and the batch's loss before it.

    Args:
      state: donated: its arrays are gone afterwards.
      batch: windows; the loss is the mean over targets by weight.
      learning_rate: of this step.

    Returns:
      The new state, and the mean loss in nats per weighted token as a device scalar.
    """
    state, loss, _ = train_step_losses(state, batch, learning_rate, config)
    return state, loss


def train_step_losses(
    state: TrainState,
    batch: Batch,
    learning_rate: float,
    config: StepConfig,
    *,
    fresh_moments: bool = False,
) -> tuple[TrainState, jax.Array, jax.Array]:
    """What `train_step` gives, and the loss of every target before the step, `nats_BT`.

    Args:
      fresh_moments: whether Adam begins anew with this step.
    """
    model = config.model
    rate = jnp.asarray(learning_rate, jnp.float32)
    loss, nats_BT, ways_back, d_norm, d_head, dx_BTD = _forward(state.params, batch, config)
    step = open_step(state)

    def take(name: str) -> tuple[Any, Any]:
        params, opt_state = step.take(name)
        return params, _fresh(params, config) if fresh_moments else opt_state

    gradients = None
    for layer in reversed(range(model.n_layers)):
        params, opt_state = take(f"blocks/{layer}")
        spare = jax.tree.map(jnp.zeros_like, params) if gradients is None else gradients
        gradients, dx_BTD = _block_backward(ways_back.pop()(params), dx_BTD, spare)
        part = _apply(params, opt_state, gradients, rate, np.int32(layer), config)
        step.put(f"blocks/{layer}", part)
        del params, opt_state, part, spare
    del gradients
    step.put("norm_out", _apply(*take("norm_out"), d_norm, rate, NO_LAYER, config))
    params, opt_state = take("embed")
    d_embed = d_head if model.tied_embedding else jax.tree.map(jnp.zeros_like, params)
    d_embed = _add_embedded(d_embed, batch.tokens_BT, dx_BTD)
    step.put("embed", _apply(params, opt_state, d_embed, rate, NO_LAYER, config))
    if not model.tied_embedding:
        step.put("head", _apply(*take("head"), d_head, rate, NO_LAYER, config))
    return step.finish(), loss, nats_BT


@_static
def _fresh(params, config: StepConfig):
    return make_optimizer(config.optimizer).init(params)


def part_gradients(params: Any, batch: Batch, config: StepConfig) -> Iterator[tuple[str, Any]]:
    """(name, gradient) of every part of the parameters, one at a time; nothing is updated.

    The loss is that of `train_step`; a layer is called by its number.
    """
    _, _, ways_back, d_norm, d_head, dx_BTD = _forward(params, batch, config)
    yield "norm_out", d_norm
    for layer in reversed(range(config.model.n_layers)):
        backward = ways_back.pop()(in_memory(params["blocks"][layer]))
        gradients, dx_BTD = _gradients_of(backward, dx_BTD)
        yield str(layer), gradients
    if config.model.tied_embedding:
        yield "embed", _add_embedded(d_head, batch.tokens_BT, dx_BTD)
    else:
        yield "head", d_head
        zeros = {"table": jnp.zeros(params["embed"]["table"].shape)}
        yield "embed", _add_embedded(zeros, batch.tokens_BT, dx_BTD)


def _forward(params: Any, batch: Batch, config: StepConfig) -> tuple[Any, ...]:
    """The loss, every target's loss, each layer's way back, gradients of norm, head and stream.

    A way back is a function of the layer's parameters.
    """
    weights = forward_weights(params)
    recompute = config.remat or weights is not params
    x_BTD, around = _begin(weights["embed"], batch.tokens_BT, batch.segments_BT, config)
    ways_back: list[Callable[[Any], Any]] = []
    for block, windows_K in zip(weights["blocks"], around.windows_LK, strict=True):
        given = (x_BTD, around.rope, around.segments_BT, windows_K, config)
        if recompute:
            # The function of the other way once more, so that the bits are the same.
            ways_back.append(lambda params, given=given: _block_forward(params, *given)[1])
            x_BTD = _block(block, *given)
        else:
            x_BTD, backward = _block_forward(block, *given)
            ways_back.append(lambda _, backward=backward: backward)
    loss, backward, nats_BT = _head_forward(
        weights["norm_out"],
        head_table(weights, config.model),
        x_BTD,
        batch.targets_BT,
        batch.weights_BT,
        config,
    )
    return loss, nats_BT, ways_back, *_head_backward(backward, loss)


def batch_losses(params: Any, batch: Batch, config: StepConfig) -> jax.Array:
    """The loss of every target, `nats_BT`, with nothing kept for a backward pass."""
    weights = forward_weights(params)
    x_BTD, around = _begin(weights["embed"], batch.tokens_BT, batch.segments_BT, config)
    for block, windows_K in zip(weights["blocks"], around.windows_LK, strict=True):
        x_BTD = _block(block, x_BTD, around.rope, around.segments_BT, windows_K, config)
    head = head_table(weights, config.model)
    return _head_losses(weights["norm_out"], head, x_BTD, batch.targets_BT, config)
