"""Newborn entries begin gently; the old ones step as if nothing had been born."""

import jax
import jax.numpy as jnp
import numpy as np
from test_growth import BIG, KEY, OLD, lived_in

from grow.moments import grow_moments
from grow.surgery import grow, old_block
from model.axes import BLOCK_AXES
from train.newborn import RAMP_STEPS, Growth, clip_apart, entry_speeds, update_grown
from train.optimizer import OptimizerConfig, apply_gradients, make_optimizer

GROWTH = Growth(OLD, 20)


def test_only_newborn_entries_are_slow_and_only_for_a_while():
    params = lived_in(BIG, dtype=np.float32)["blocks"]
    first = entry_speeds(params[0], jnp.int32(0), jnp.int32(20), (GROWTH,))
    for name, part in BLOCK_AXES.items():
        for leaf, axes in part.items():
            speeds = np.array(first[name][leaf])
            assert np.all(np.asarray(old_block(speeds, axes, OLD)) == 1)
            speeds[tuple(slice(size) for size in old_block(speeds, axes, OLD).shape)] = (
                1 / RAMP_STEPS
            )
            np.testing.assert_allclose(speeds, 1 / RAMP_STEPS, rtol=1e-6)
    newborn = entry_speeds(params[2], jnp.int32(2), jnp.int32(29), (GROWTH,))
    assert all(np.allclose(leaf, 10 / RAMP_STEPS) for leaf in jax.tree.leaves(newborn))
    later = entry_speeds(params[2], jnp.int32(2), jnp.int32(20 + RAMP_STEPS), (GROWTH,))
    assert all(np.all(leaf == 1) for leaf in jax.tree.leaves(later))


def test_a_second_growth_slows_only_what_it_brought():
    leaf = {"gain": jnp.ones(BIG.d_model + 2)}
    growths = (GROWTH, Growth(BIG, 40))
    speeds = entry_speeds(leaf, jnp.int32(-1), jnp.int32(44), growths)["gain"]
    expected = [1] * 8 + [25 / RAMP_STEPS] * 5 + [5 / RAMP_STEPS] * 2
    np.testing.assert_allclose(speeds, expected, rtol=1e-6)


def test_each_group_is_clipped_by_its_own_norm():
    gradients = {"a": jnp.array([3.0, 4.0, 300.0, 400.0])}
    speeds = {"a": jnp.array([1.0, 1.0, 0.5, 0.5])}
    clipped = clip_apart(gradients, speeds, 1.0)["a"]
    np.testing.assert_allclose(clipped, [0.6, 0.8, 0.6, 0.8], rtol=1e-6)
    small = clip_apart(jax.tree.map(lambda g: g / 1000, gradients), speeds, 1.0)["a"]
    np.testing.assert_array_equal(small, gradients["a"] / 1000)


def test_old_entries_step_as_if_nothing_had_been_born():
    config = OptimizerConfig(clip_norm=0.1)
    optimizer = make_optimizer(config)
    params = lived_in(OLD, dtype=np.float32)
    gradients = jax.tree.map(lambda p: p * 7 - 0.3, params["blocks"][0])
    state = {
        name: [optimizer.init(block) for block in part]
        if name == "blocks"
        else optimizer.init(part)
        for name, part in params.items()
    }
    expected, _ = apply_gradients(
        optimizer, params["blocks"][0], state["blocks"][0], gradients, jnp.float32(0.25)
    )
    big = grow(params, OLD, BIG, KEY)["blocks"][0]
    moments = grow_moments(state, optimizer, OLD, BIG)["blocks"][0]

    def among_larger_ones(old, new):
        return jnp.full(new.shape, 50.0).at[tuple(map(slice, old.shape))].set(old)

    born = (Growth(OLD, 0),)
    gradients = jax.tree.map(among_larger_ones, gradients, big)
    stepped, _ = update_grown(
        big, moments, gradients, jnp.float32(0.25), jnp.int32(0), BIG, born, config
    )
    for name, part in BLOCK_AXES.items():
        for leaf, axes in part.items():
            before = params["blocks"][0][name][leaf]
            moved = old_block(stepped[name][leaf], axes, OLD) - before
            # Matrices learn slower by the width rule, gains do not.
            slower = OLD.d_model / BIG.d_model if len(axes) > 1 else 1.0
            wanted = slower * (expected[name][leaf] - before)
            np.testing.assert_allclose(moved, wanted, rtol=1e-4, atol=1e-6, err_msg=leaf)
            assert np.any(stepped[name][leaf] != big[name][leaf])
