"""A layer at a time is the whole gradient and Optax, and position t learns token t + 1."""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import random_batch, random_params, small_config

from model.transformer import forward
from train.flat_tree import tree_digest
from train.loss import token_losses
from train.optimizer import OptimizerConfig, make_optimizer
from train.state import TrainState, init_opt_state, init_state
from train.step import StepConfig, batch_losses, train_step
from train.windows import Batch

GOLDEN = Path(__file__).parent / "golden" / "first_losses.json"
# A power of two, so that it is the same number in float32 and float64.
RATE = 2.0**-7


def mean_loss(logits_BTV: jax.Array, targets_BT: jax.Array, weights_BT: jax.Array) -> jax.Array:
    """Weighted mean negative log-likelihood in nats per token; 0 where no token counts."""
    total = jnp.sum(token_losses(logits_BTV, targets_BT) * weights_BT)
    return total / jnp.maximum(jnp.sum(weights_BT), 1e-9)


def wide(tree):
    """The tree in float64."""
    return jax.tree.map(lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x, tree)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_a_layer_at_a_time_equals_the_whole_tree_in_float64(tied):
    with jax.enable_x64(True):
        config = small_config(tied_embedding=tied)
        # Clipping is by layer, which the whole tree cannot copy, so it is out of reach here.
        optimizer = OptimizerConfig(clip_norm=1e9)
        step = StepConfig(config, optimizer, jnp.dtype("float64"))
        params = random_params(config)
        state = wide(TrainState(params, init_opt_state(params, optimizer)))
        params = jax.tree.map(jnp.copy, state.params)
        adamw = optax.adamw(
            RATE,
            b1=optimizer.b1,
            b2=optimizer.b2,
            eps=optimizer.eps,
            weight_decay=optimizer.weight_decay,
            mask=lambda tree: jax.tree.map(lambda leaf: leaf.ndim > 1, tree),
        )
        opt_state = adamw.init(params)

        @jax.jit
        @jax.value_and_grad
        def whole_gradient(params, parts):
            tokens_BT, targets_BT, weights_BT, segments_BT = parts
            logits_BTV = forward(params, tokens_BT, segments_BT, config, jnp.dtype("float64"))
            return mean_loss(logits_BTV, targets_BT, weights_BT)

        for number in range(3):
            batch = random_batch(config, seed=number)
            batch = dataclasses.replace(batch, weights_BT=batch.weights_BT.astype(np.float64))

            whole, gradients = whole_gradient(params, dataclasses.astuple(batch))
            updates, opt_state = adamw.update(gradients, opt_state, params)
            params = optax.apply_updates(params, updates)
            state, layered = train_step(state, batch, RATE, step)
            np.testing.assert_allclose(layered, whole, rtol=1e-10)
        for path, leaf in jax.tree.leaves_with_path(params):
            found = dict(jax.tree.leaves_with_path(state.params))[path]
            np.testing.assert_allclose(found, leaf, rtol=1e-10, atol=1e-12, err_msg=str(path))


def test_each_layer_is_clipped_by_its_own_norm():
    config = small_config()
    batch = random_batch(config)
    moved = {}
    for clip in (1e9, 1e-3):
        optimizer = OptimizerConfig(clip_norm=clip, b1=0.0)
        step = StepConfig(config, optimizer, jnp.dtype("float32"))
        state = init_state(config, optimizer, jax.random.key(3))
        state, _ = train_step(state, batch, RATE, step)
        layers = [*state.opt_state["blocks"], state.opt_state["embed"]]
        moved[clip] = [float(optax.tree.norm(layer[1].mu)) for layer in layers]
    assert all(norm > 1e-3 for norm in moved[1e9])
    np.testing.assert_allclose(moved[1e-3], 1e-3, rtol=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e-3, 1e3])
def test_clipping_is_that_of_optax(size):
    gradients = {"a": jnp.linspace(-size, size, 12).reshape(3, 4), "b": jnp.full(5, size)}
    expected, _ = optax.clip_by_global_norm(0.5).update(gradients, optax.EmptyState())
    optimizer = make_optimizer(OptimizerConfig(clip_norm=0.5, b1=0.0))
    _, state = optimizer.update(gradients, optimizer.init(gradients), gradients)
    for found, want in zip(jax.tree.leaves(state[1].mu), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-6)


def test_the_loss_of_a_position_is_about_the_next_token():
    """A text in which each token has one successor: only the right shift learns that successor."""
    config = small_config(vocab_size=16)
    successor_V = np.random.default_rng(0).permutation(16)
    while np.any(successor_V[successor_V] == successor_V):
        successor_V = np.roll(successor_V, 1)
    optimizer = OptimizerConfig()
    step = StepConfig(config, optimizer, jnp.dtype("float32"))
    state = init_state(config, optimizer, jax.random.key(0))
    rng = np.random.default_rng(1)
    for _ in range(300):
        ids = [rng.integers(0, 16, 4)]
        for _ in range(config.context):
            ids.append(successor_V[ids[-1]])
        ids_BT = np.stack(ids, axis=1).astype(np.int32)
        ones = np.ones((4, config.context), np.float32)
        batch = Batch(ids_BT[:, :-1], ids_BT[:, 1:], ones, np.zeros_like(ids_BT[:, :-1]))
        state, loss = train_step(state, batch, RATE, step)
    assert float(loss) < 0.05
    logits_BTV = forward(state.params, batch.tokens_BT, batch.segments_BT, config)
    np.testing.assert_array_equal(np.argmax(logits_BTV, axis=-1), batch.targets_BT)
    np.testing.assert_array_equal(batch.targets_BT, successor_V[batch.tokens_BT])


def test_targets_of_weight_zero_teach_nothing(step_config):
    batch = random_batch(step_config.model)
    other = dataclasses.replace(
        batch, targets_BT=np.where(batch.weights_BT > 0, batch.targets_BT, 5).astype(np.int32)
    )
    digests = []
    for variant in (batch, other):
        state = init_state(step_config.model, step_config.optimizer, jax.random.key(0))
        state, _ = train_step(state, variant, RATE, step_config)
        digests.append(tree_digest(state))
    assert digests[0] == digests[1]


def test_evaluation_sees_the_loss_that_training_reports(step_config):
    batch = random_batch(step_config.model)
    state = init_state(step_config.model, step_config.optimizer, jax.random.key(0))
    losses_BT = np.asarray(batch_losses(state.params, batch, step_config))
    _, loss = train_step(state, batch, RATE, step_config)
    expected = np.sum(losses_BT * batch.weights_BT) / np.sum(batch.weights_BT)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_bfloat16_products_stay_near_float32(step_config):
    losses = []
    for dtype in ("float32", "bfloat16"):
        step = step_config._replace(dtype=jnp.dtype(dtype))
        state = init_state(step.model, step.optimizer, jax.random.key(0))
        for number in range(5):
            state, loss = train_step(state, random_batch(step.model, seed=number), RATE, step)
        losses.append(float(loss))
    assert losses[0] != losses[1]
    assert abs(losses[0] - losses[1]) < 0.02


def test_first_losses_are_golden(step_config):
    """A change here is a change of the model or of its initial values: was it meant?"""
    state = init_state(step_config.model, step_config.optimizer, jax.random.key(0))
    losses = []
    for number in range(3):
        batch = random_batch(step_config.model, seed=number)
        state, loss = train_step(state, batch, RATE, step_config)
        losses.append(float(loss))
    np.testing.assert_allclose(losses, json.loads(GOLDEN.read_text()), rtol=2e-6)
