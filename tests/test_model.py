"""The decoder: shapes from axis strings, nothing from the future, the cache changes nothing."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_params, small_config, with_windows

from model.axes import count_parameters, param_axes, shape_of
from model.cache import init_cache
from model.config import SIZES, ModelConfig, new_config
from model.products import sum_of_squares
from model.transformer import (
    abstract_params,
    apply_head,
    extend,
    forward,
    head_table,
)

UNTIED = partial(small_config, tied_embedding=False)


run = jax.jit(forward, static_argnames=("config", "dtype"))


def logits(params, tokens_BT, config, segments_BT=None):
    if segments_BT is None:
        segments_BT = jnp.zeros_like(tokens_BT)
    return run(params, tokens_BT, segments_BT, config=config, dtype=jnp.dtype("float32"))


@pytest.mark.parametrize("config", [small_config(), UNTIED()], ids=["tied", "untied"])
def test_axis_strings_are_the_shapes_of_the_parameters(config):
    shapes = jax.tree.map(lambda axes: shape_of(axes, config), param_axes(config))
    found = jax.tree.map(lambda leaf: leaf.shape, abstract_params(config))
    assert found == shapes


@pytest.mark.parametrize(("name", "millions"), [
    ("2m", 2), ("10m", 10), ("50m", 50), ("124m", 124), ("350m", 350), ("1b", 1000),
    ("2b", 2000), ("3b", 3000), ("5b", 5000),
])  # fmt: skip
def test_sizes_are_within_a_tenth_of_their_names(name, millions):
    assert abs(count_parameters(new_config(name)) / (millions * 1e6) - 1) <= 0.1
    assert set(SIZES) == {"2m", "10m", "50m", "124m", "350m", "1b", "2b", "3b", "5b"}


def test_a_later_token_changes_no_earlier_logit():
    config = small_config()
    params = random_params(config)
    tokens_BT = jax.random.randint(jax.random.key(2), (1, config.context), 0, config.vocab_size)
    before = logits(params, tokens_BT, config)
    for changed in range(1, config.context):
        other = tokens_BT.at[0, changed].set((tokens_BT[0, changed] + 1) % config.vocab_size)
        after = logits(params, other, config)
        np.testing.assert_array_equal(before[:, :changed], after[:, :changed])
        assert not np.array_equal(before[:, changed:], after[:, changed:])


def test_nothing_is_seen_across_segments():
    config = small_config()
    params = random_params(config)
    tokens_BT = jax.random.randint(jax.random.key(2), (1, config.context), 0, config.vocab_size)
    segments_BT = jnp.arange(config.context)[None] // 6
    before = logits(params, tokens_BT, config, segments_BT)
    other = tokens_BT.at[0, :6].set(0)
    after = logits(params, other, config, segments_BT)
    np.testing.assert_array_equal(before[:, 6:], after[:, 6:])
    assert not np.array_equal(logits(params, other, config)[:, 6:], before[:, 6:])


def test_a_window_hides_what_lies_further_back():
    config = with_windows(small_config(n_layers=1), (3, 3))
    params = random_params(config)
    tokens_BT = jax.random.randint(jax.random.key(2), (1, config.context), 0, config.vocab_size)
    before = logits(params, tokens_BT, config)
    after = logits(params, tokens_BT.at[0, 0].add(1), config)
    np.testing.assert_array_equal(before[:, 3:], after[:, 3:])
    assert not np.array_equal(before[:, 2], after[:, 2])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_jit_equals_eager(dtype):
    config = small_config()
    params = random_params(config)
    tokens_BT = jax.random.randint(jax.random.key(2), (2, config.context), 0, config.vocab_size)
    segments_BT = jnp.zeros_like(tokens_BT)
    how = {"config": config, "dtype": jnp.dtype(dtype)}
    eager = forward(params, tokens_BT, segments_BT, **how)
    jitted = run(params, tokens_BT, segments_BT, **how)
    # A bfloat16 rounding that falls the other way moves a logit by about one part in 256.
    tolerance = 1e-5 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(eager, jitted, rtol=0, atol=tolerance * np.abs(eager).max())


@pytest.mark.parametrize("windows", [(16, 16), (5, 16)])
def test_cached_decoding_equals_the_whole_window(windows):
    config = with_windows(small_config(), windows, windows)
    params = random_params(config)
    tokens_BT = jax.random.randint(jax.random.key(2), (2, config.context), 0, config.vocab_size)
    whole = logits(params, tokens_BT, config)
    cache = init_cache(config, 2, config.context, jnp.float32)
    more = jax.jit(extend, static_argnames=("config", "dtype"))
    parts = []
    for start, stop in [(0, 7), (7, 8), (8, 9), (9, 16)]:
        how = {"config": config, "dtype": jnp.dtype("float32")}
        x_BTD, cache = more(params, tokens_BT[:, start:stop], cache, jnp.int32(start), **how)
        parts.append(
            apply_head(params["norm_out"], head_table(params, config), x_BTD, config, jnp.float32)
        )
    np.testing.assert_allclose(jnp.concatenate(parts, axis=1), whole, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("old", "new"), [(24, 36), (7, 131), (320, 640)])
def test_zeros_behind_a_row_change_no_bit_of_its_sum(old, new):
    x_MD = np.random.default_rng(0).normal(size=(9, old)).astype(np.float32)
    found, wider = (
        jax.jit(jax.value_and_grad(lambda x: jnp.sum(jnp.sin(sum_of_squares(x)))))(rows)
        for rows in (x_MD, np.pad(x_MD, ((0, 0), (0, new - old))))
    )
    np.testing.assert_array_equal(wider[0], found[0])
    np.testing.assert_array_equal(wider[1][:, :old], found[1])
    plain = jax.grad(lambda x: jnp.sum(jnp.sin(jnp.sum(x**2, axis=-1))))(x_MD)
    np.testing.assert_allclose(found[1], plain, rtol=0, atol=1e-3)


def test_a_position_is_relative():
    config = small_config()
    params = random_params(config)
    tokens_BT = jax.random.randint(jax.random.key(2), (1, 6), 0, config.vocab_size)
    alone = logits(params, tokens_BT, config)
    shifted_BT = jnp.concatenate([jnp.zeros((1, 5), jnp.int32), tokens_BT], axis=1)
    segments_BT = jnp.asarray([[0] * 5 + [1] * 6])
    shifted = logits(params, shifted_BT, config, segments_BT)
    np.testing.assert_allclose(shifted[:, 5:], alone, rtol=0, atol=1e-5)


def test_a_config_survives_json():
    config = with_windows(small_config(), (3, 16), (16, 7))
    assert ModelConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize(("change", "words"), [
    ({"d_model": 0}, "d_model must be a whole number of at least 1, got 0"),
    ({"n_layers": 1.5}, "n_layers must be a whole number"),
    ({"head_dim": 5}, "head_dim must be even"),
    ({"vocab_size": 3}, "vocab_size must be at least 8"),
    ({"windows": ((1,), (1,))}, "windows must hold n_layers 2 rows of n_kv_heads 2"),
    ({"norm_eps": float("nan")}, "norm_eps must be a positive number"),
])  # fmt: skip
def test_sizes_that_cannot_be_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        dataclasses.replace(small_config(), **change)


def test_a_tree_of_another_config_is_refused():
    config = small_config()
    params = random_params(config)
    tokens_BT = jnp.zeros((1, 4), jnp.int32)
    with pytest.raises(ValueError, match="does not fit the config"):
        logits(params, tokens_BT, small_config(n_layers=3))
