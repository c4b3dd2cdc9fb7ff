"""Answers to many prompts at once, each row at its own place: for own replies and probes."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from model.cache import init_cache
from model.config import ModelConfig
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
    """
    assert all(len(ids) <= length - limit for ids in prompts)
    if not prompts:
        return []
    copy = compute_weights(params, dtype)
    marks = (tokenizer.turn_end, tokenizer.unspoken)
    key = jax.random.key(0) if key is None else key
    answers: list[str | None] = []
    for first in range(0, len(prompts), ROWS):
        part = prompts[first : first + ROWS]
        prompts_BT = np.zeros((ROWS, length), np.int32)
        lengths_B = np.ones(ROWS, np.int32)
        for row, ids in enumerate(part):
            prompts_BT[row, : len(ids)], lengths_B[row] = ids, len(ids)
        rows = jnp.arange(first, first + ROWS)
        said = _decode(copy, prompts_BT, lengths_B, rows, key, config, dtype, marks, temperature)
        for ids, said_T in zip(part, np.asarray(said), strict=False):
            answer_T = said_T[len(ids) : len(ids) + limit]
            ends = np.flatnonzero(answer_T == tokenizer.turn_end)
            answers.append(tokenizer.decode(answer_T[: ends[0]]) if len(ends) else None)
    return answers


@partial(jax.jit, static_argnames=("config", "dtype", "marks", "temperature"))
def _decode(params, prompts_BT, lengths_B, rows_B, key, config, dtype, marks, temperature):
    """Every row's prompt and its continuation, `tokens_BT`, one position at a time.

    Rows reach the ends of their prompts at different positions, so prompts are read a token at a
    time as well; that spares a shape per length.
    """
    end, barred = marks
    ids_V = jnp.arange(config.vocab_size)
    barred_V = jnp.isin(ids_V, jnp.array(barred))
    keys_B = jax.vmap(partial(jax.random.fold_in, key))(rows_B)

    def advance(carry, position):
        cache, tokens_B = carry
        x_B1D, cache = extend(params, tokens_B[:, None], cache, position, config, dtype)
        head = head_table(params, config)
        logits_BV = apply_head(params["norm_out"], head, x_B1D, config, dtype)[:, 0]
        # An empty reply is no reply.
        first_B1 = (position + 1 == lengths_B)[:, None]
        logits_BV = jnp.where(barred_V | (first_B1 & (ids_V == end)), -jnp.inf, logits_BV)
        if temperature:
            drawn_B = jax.vmap(lambda k: jax.random.fold_in(k, position))(keys_B)
            chosen_B = jax.vmap(jax.random.categorical)(drawn_B, logits_BV / temperature)
        else:
            chosen_B = jnp.argmax(logits_BV, axis=-1)
        given_B = jax.lax.dynamic_index_in_dim(prompts_BT, position + 1, 1, keepdims=False)
        tokens_B = jnp.where(position + 1 < lengths_B, given_B, chosen_B).astype(jnp.int32)
        return (cache, tokens_B), tokens_B

    rows, length = prompts_BT.shape
    start = (init_cache(config, rows, length, dtype), prompts_BT[:, 0])
    _, tokens_TB = jax.lax.scan(advance, start, jnp.arange(length - 1))
    return jnp.concatenate([prompts_BT[:, :1], tokens_TB.T], axis=1)
