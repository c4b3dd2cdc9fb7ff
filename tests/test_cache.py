"""A windowed head keeps its window's keys alone, and no reply is another one for that."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_params, small_config, with_windows

from model.cache import cache_bytes, init_cache
from model.choice import largest
from model.transformer import apply_head, extend, forward, head_table
from serve.decode import Drawing, decode
from serve.sample import SamplingConfig, sample_replies

# Heads that look back differently far, as growths leave them behind.
GROWN = with_windows(small_config(context=128, n_layers=1, n_kv_heads=3), (16, 128, 16))


def whole_cache(config, batch, length, dtype):
    """The cache in which every head keeps every position."""

    def whole(heads):
        rows = jnp.zeros((batch, length, *heads.k_BRKH.shape[2:]), dtype)
        return dataclasses.replace(heads, k_BRKH=rows, v_BRKH=rows, ring=False)

    return [[whole(heads) for heads in layer] for layer in init_cache(config, batch, length, dtype)]


@partial(jax.jit, static_argnames=("steps", "config"))
def greedy(params, prompts_BT, count, cache, steps, config):
    """Tokens and their logits after padded prompts, one at a time through the cache."""

    def choose(x_B1D):
        head = head_table(params, config)
        return apply_head(params["norm_out"], head, x_B1D, config, jnp.float32)[:, 0]

    def advance(carry, _):
        cache, logits_BV, position = carry
        tokens_B = jnp.argmax(logits_BV, axis=-1).astype(jnp.int32)
        x_B1D, cache = extend(params, tokens_B[:, None], cache, position, config, jnp.float32)
        return (cache, choose(x_B1D), position + 1), (tokens_B, logits_BV)

    x_BTD, cache = extend(params, prompts_BT, cache, jnp.int32(0), config, jnp.float32, count)
    last_B1D = jax.lax.dynamic_slice_in_dim(x_BTD, count - 1, 1, axis=1)
    _, (tokens_TB, logits_TBV) = jax.lax.scan(
        advance, (cache, choose(last_B1D), count), length=steps
    )
    return tokens_TB.T, logits_TBV


@pytest.mark.parametrize("count", [9, 30, 40])
def test_text_from_rings_is_the_text_from_a_whole_cache(count):
    params = random_params(GROWN)
    prompts_BT = jax.random.randint(jax.random.key(3), (8, 40), 0, GROWN.vocab_size)
    found, wanted = (
        greedy(params, prompts_BT, jnp.int32(count), make(GROWN, 8, 128, jnp.float32), 88, GROWN)
        for make in (init_cache, whole_cache)
    )
    np.testing.assert_array_equal(found[0], wanted[0])
    scale = np.max(np.abs(wanted[1]))
    np.testing.assert_allclose(found[1], wanted[1], rtol=0, atol=2e-6 * scale + 1e-6)


def test_a_windowed_head_keeps_only_its_window():
    rings, whole = (make(GROWN, 1, 128, jnp.float32) for make in (init_cache, whole_cache))
    assert [heads.k_BRKH.shape for heads in rings[0]] == [(1, 16, 2, 4), (1, 128, 1, 4)]
    assert cache_bytes(rings) * 384 == cache_bytes(whole) * 160
    short = init_cache(GROWN, 1, 12, jnp.float32)
    assert [heads.k_BRKH.shape[1] for heads in short[0]] == [12, 12]


def test_replies_to_a_padded_prompt_have_the_probability_of_the_whole_window(tokenizer):
    """The padding behind a prompt is longer than the window, and must not push its keys out."""
    config = dataclasses.replace(GROWN, vocab_size=tokenizer.vocab_size)
    params = random_params(config)
    prompt = tokenizer.encode("Alice was beginning to get very tired of sitting by her sister")
    sampling = SamplingConfig(replies=3, max_new_tokens=24, temperature=0.0)
    *_, replies = sample_replies(
        params, prompt, jax.random.key(0), tokenizer, config, sampling, jnp.dtype("float32")
    )
    ids = np.array([*prompt, *replies[0].ids], np.int32)[None]
    logits_BTV = forward(params, ids, np.zeros_like(ids), config)
    picked = jax.nn.log_softmax(logits_BTV[0, len(prompt) - 1 : -1])
    expected = float(np.sum(picked[np.arange(len(replies[0].ids)), ids[0, len(prompt) :]]))
    assert not replies[0].ended and len(replies[0].ids) == 24
    assert replies[0].log_prob == pytest.approx(expected, abs=1e-2)
    assert {reply.ids for reply in replies} == {replies[0].ids}


def test_replies_that_share_a_prompt_are_those_of_the_whole_model(tokenizer):
    # One more than a block of the prompt.
    count = 65
    config = with_windows(
        small_config(context=128, n_layers=1, n_kv_heads=3, vocab_size=tokenizer.vocab_size),
        (16, 128, 16),
    )
    params = random_params(config)
    prompt = [(7 * number) % config.vocab_size for number in range(count)]
    *_, drawn = decode(
        params,
        prompt,
        jax.random.key(0),
        tokenizer,
        config,
        jnp.float32,
        candidates=3,
        steps=40,
        drawing=Drawing(np.float32(1.0), np.float32(1.0)),
    )
    assert len({tuple(ids_T) for ids_T in drawn.ids_CT}) == 3
    for ids_T, log_probs_T in zip(drawn.ids_CT, drawn.log_probs_CT, strict=True):
        # After its end a reply is only filled up.
        ends = np.flatnonzero(ids_T == tokenizer.turn_end)
        ids_T = ids_T[: ends[0]] if len(ends) else ids_T
        tokens_1T = np.array([[*prompt, *ids_T]])
        logits_1TV = forward(params, tokens_1T, np.zeros_like(tokens_1T), config)
        wanted_TV = jax.nn.log_softmax(logits_1TV[0, count - 1 : -1])
        wanted_T = wanted_TV[np.arange(len(ids_T)), ids_T]
        np.testing.assert_allclose(log_probs_T[: len(ids_T)], wanted_T, atol=2e-4)


def test_largest_is_the_first_of_the_largest():
    values_CV = jax.random.randint(jax.random.key(0), (4, 300), 0, 40).astype(jnp.float32)
    np.testing.assert_array_equal(largest(values_CV), jnp.argmax(values_CV, axis=-1))
