"""Answers to many prompts at once, each row at its own place: for own replies and probes."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from model.choice import largest
from model.config import ModelConfig
from model.shared_cache import init_prompt_cache, share
from model.tokenizer import Tokenizer
from model.transformer import Params, apply_head, extend, head_table
from train.store import compute_weights

ROWS = 64


def answer_all(
    params: Params,
    prompts: Sequence[Sequence[int]],
    tokenizer: Tokenizer,
    config: ModelConfig,
    dtype: DTypeLike,
    *,
    length: int,
    limit: int,
    temperature: float = 0.0,
    key: jax.Array | None = None,
    before_each: Callable[[], None] = lambda: None,
) -> list[str | None]:
    """The answer to every prompt; None where it did not end within `limit` tokens.

    Args:
      params: master parameters.
      prompts: ids, each at most `length - limit` of them.
      dtype: what matrix products round their inputs to.
      length: tokens of prompt and answer together, one compiled shape.
      limit: tokens of an answer, its end mark included.
      temperature: of sampling; 0 is greedy.
      key: of sampling; row r at position p draws with fold_in(fold_in(key, r), p).
      before_each: called before every batch of prompts; what it raises ends the asking.
    """
    assert all(len(ids) <= length - limit for ids in prompts)
    if not prompts:
        return []
    copy = compute_weights(params, dtype)
    marks = (tokenizer.turn_end, tokenizer.unspoken)
    key = jax.random.key(0) if key is None else key
    # Prompts of about one length are together, so that all of them have soon been read.
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    answers: list[str | None] = [None] * len(prompts)
    for first in range(0, len(prompts), ROWS):
        before_each()
        part = order[first : first + ROWS]
        tokens_BT = np.zeros((ROWS, length), np.int32)
        longest = len(prompts[part[-1]])
        lengths_B, rows_B = np.full(ROWS, longest, np.int32), np.zeros(ROWS, np.int32)
        for row, index in enumerate(part):
            ids = prompts[index]
            tokens_BT[row, : len(ids)], lengths_B[row], rows_B[row] = ids, len(ids), index
        stop = np.int32(longest + limit - 1)
        said_BT = _decode(
            copy, tokens_BT, lengths_B, rows_B, stop, key, config, dtype, marks, temperature
        )
        for index, said_T in zip(part, np.asarray(said_BT), strict=False):
            ids = prompts[index]
            answer_T = said_T[len(ids) : len(ids) + limit]
            ends = np.flatnonzero(answer_T == tokenizer.turn_end)
            if len(ends):
                answers[index] = tokenizer.decode(answer_T[: ends[0]])
    return answers


@partial(jax.jit, static_argnames=("config", "dtype", "marks", "temperature"))
def _decode(params, prompts_BT, lengths_B, rows_B, stop, key, config, dtype, marks, temperature):
    """Every row's prompt and its continuation up to position `stop`, `tokens_BT`.

    Rows reach the ends of their prompts at different positions, so prompts are read a token at a
    time as well; that spares a shape per length. Keys and values are those of replies without a
    prompt in common: the arrangement in which single queries are fast.
    """
    end, barred = marks
    ids_V = np.arange(config.vocab_size)
    barred_V = np.isin(ids_V, np.array(barred))
    keys_B = jax.vmap(partial(jax.random.fold_in, key))(rows_B)

    def choose(position, x_B1D):
        head = head_table(params, config)
        logits_BV = apply_head(params["norm_out"], head, x_B1D, config, dtype)[:, 0]
        # An empty reply is no reply.
        first_B1 = (position + 1 == lengths_B)[:, None]
        logits_BV = jnp.where(barred_V | (first_B1 & (ids_V == end)), -jnp.inf, logits_BV)
        if temperature:
            logits_BV = _noisy(logits_BV / temperature, keys_B, position)
        return largest(logits_BV)

    def advance(carry):
        position, cache, said_BT = carry
        tokens_B1 = jax.lax.dynamic_index_in_dim(said_BT, position, 1)
        x_B1D, cache = extend(params, tokens_B1, cache, position, config, dtype)
        # Nothing is chosen as long as all rows are within their prompts.
        chosen_B = jax.lax.cond(
            jnp.any(position + 1 >= lengths_B),
            partial(choose, position),
            lambda x_B1D: jnp.zeros(len(x_B1D), jnp.int32),
            x_B1D,
        )
        given_B = jax.lax.dynamic_index_in_dim(said_BT, position + 1, 1, keepdims=False)
        tokens_B = jnp.where(position + 1 < lengths_B, given_B, chosen_B).astype(jnp.int32)
        said_BT = jax.lax.dynamic_update_slice_in_dim(said_BT, tokens_B[:, None], position + 1, 1)
        return position + 1, cache, said_BT

    rows, length = prompts_BT.shape
    cache = share(init_prompt_cache(config, 1, dtype), jnp.int32(0), rows, length)
    start = (jnp.int32(0), cache, jnp.asarray(prompts_BT))
    return jax.lax.while_loop(lambda carry: carry[0] < stop, advance, start)[2]


def _noisy(logits_BV, keys_B, position):
    """The logits with Gumbel noise: the largest is a fair draw, as `jax.random.categorical` has it.

    Without the barrier all noise is made twice; the library's own takes 12 instead of 5 ms.
    """
    drawn_B = jax.vmap(lambda key: jax.random.fold_in(key, position))(keys_B)
    noise_BV = jax.vmap(lambda key: jax.random.gumbel(key, logits_BV.shape[1:]))(drawn_B)
    return jax.lax.optimization_barrier(logits_BV + noise_BV)
