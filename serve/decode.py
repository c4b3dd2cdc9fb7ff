"""Batched, cached decoding: a few compiled functions, whatever the temperature or the penalties."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from model.choice import largest
from model.config import ModelConfig
from model.shared_cache import SharedCache, init_prompt_cache, share
from model.tokenizer import Tokenizer
from model.transformer import Params, apply_head, extend, head_table

# Tokens per compiled call: small enough to stream, large enough to hide the call.
CHUNK = 4
# Prompts, and rows for replies, come in blocks of so many; above a prompt's block in powers of two.
PROMPT_BLOCK, ROW_BLOCK = 64, 16

Number = jax.Array | np.float32


class Drawing(NamedTuple):
    """How a token is drawn; arrays, so that no value has to be compiled for.

    A temperature of 0 is greedy, a `top_p` of 1 keeps all tokens. `bias_V` is added to the logits,
    `penalties` are what a token loses for having been drawn, and for every time that it was.
    """

    temperature: Number
    top_p: Number
    bias_V: jax.Array | None = None
    penalties: tuple[Number, Number] | None = None


class Drawn(NamedTuple):
    """All tokens drawn so far, their log-probabilities under the model itself, and the best K."""

    ids_CT: np.ndarray
    log_probs_CT: np.ndarray
    best_ids_CTK: np.ndarray
    best_log_probs_CTK: np.ndarray


class Marks(NamedTuple):
    """Which ids end a reply and which are never drawn; hashable, so that a jit may know them."""

    end: int
    barred: tuple[int, ...]


class _Decoding(NamedTuple):
    cache: list[list[SharedCache]]
    logits_CV: jax.Array
    position: jax.Array
    ended_C: jax.Array
    key: jax.Array
    counts_CV: jax.Array | None


def decode(
    params: Params,
    prompt: Sequence[int],
    key: jax.Array,
    tokenizer: Tokenizer,
    config: ModelConfig,
    dtype: DTypeLike,
    *,
    candidates: int,
    steps: int,
    drawing: Drawing,
    best: int = 0,
) -> Iterator[Drawn]:
    """Everything drawn so far, after every few tokens, until all candidates have ended.

    Candidate c at position p draws with fold_in(fold_in(key, c), p), whatever the others do.

    Args:
      params: a `compute_copy`, or master parameters.
      prompt: ids that the candidates go on from.
      steps: tokens at most; cut to what the context has room for.
      best: K, how many likeliest tokens are told for every position.
    """
    rows = _rounded(min(steps, config.context))
    steps = min(steps, config.context - len(prompt))
    if steps < 1:
        raise ValueError(
            f"a prompt must leave room in the context of {config.context} tokens, "
            f"got {len(prompt)}; shorten it or forget the context."
        )
    state = _start(params, prompt, key, config, candidates, rows, drawing, dtype)
    marks = _marks(tokenizer)
    parts: list[Drawn] = []
    for _ in range(0, steps, CHUNK):
        state, rows = decode_chunk(params, state, len(prompt), config, drawing, dtype, marks, best)
        parts.append(Drawn(*map(np.asarray, rows)))
        joined = (np.concatenate(rows, axis=1)[:, :steps] for rows in zip(*parts, strict=True))
        yield Drawn(*joined)
        if bool(np.all(state.ended_C)):
            return


def _marks(tokenizer: Tokenizer) -> Marks:
    return Marks(tokenizer.turn_end, tokenizer.unspoken)


def _rounded(rows: int) -> int:
    """At least so many rows, so that few shapes have to be compiled."""
    if rows <= PROMPT_BLOCK:
        return -(-rows // ROW_BLOCK) * ROW_BLOCK
    return 1 << (rows - 1).bit_length()


def _start(params, prompt, key, config, candidates, rows, drawing, dtype) -> _Decoding:
    """The prompt read once, in whole blocks, and shared by all candidates."""
    padded = min(-(-len(prompt) // PROMPT_BLOCK) * PROMPT_BLOCK, config.context)
    tokens_1T = np.zeros((1, padded), np.int32)
    tokens_1T[0, : len(prompt)] = prompt
    state = prefill(params, tokens_1T, len(prompt), key, config, candidates, rows, dtype)
    if drawing.penalties is None:
        return state
    return state._replace(counts_CV=jnp.zeros_like(state.logits_CV))


@partial(jax.jit, static_argnames=("config", "candidates", "rows", "dtype"))
def prefill(params, tokens_1T, length, key, config, candidates, rows, dtype) -> _Decoding:
    """The state after a prompt of `length` ids, ready to draw `rows` for so many candidates."""
    cache = init_prompt_cache(config, max(_rounded(tokens_1T.shape[1]), PROMPT_BLOCK), dtype)
    x_1TD, cache = extend(params, tokens_1T, cache, jnp.int32(0), config, dtype, length)
    last_11D = jax.lax.dynamic_slice_in_dim(x_1TD, length - 1, 1, axis=1)
    logits_1V = _logits(params, last_11D, config, dtype)
    return _Decoding(
        cache=share(cache, length, candidates, rows),
        logits_CV=jnp.repeat(logits_1V, candidates, axis=0),
        position=jnp.int32(length),
        ended_C=jnp.zeros(candidates, bool),
        key=key,
        counts_CV=None,
    )


@partial(jax.jit, static_argnames=("config", "dtype", "marks", "best"), donate_argnums=(1,))
def decode_chunk(params, state, prompt_length, config, drawing, dtype, marks, best):
    """The state after `CHUNK` more tokens of every candidate, and these by candidate."""

    def advance(state: _Decoding, _):
        first = state.position == prompt_length
        log_probs_CV = jax.nn.log_softmax(state.logits_CV)
        tokens_C = _draw(state, log_probs_CV, first, drawing, marks)
        log_probs_C = jnp.take_along_axis(log_probs_CV, tokens_C[:, None], axis=-1)[:, 0]
        best_CK = jax.lax.top_k(log_probs_CV, best) if best else (log_probs_CV[:, :0],) * 2
        ended_C = state.ended_C | (tokens_C == marks.end)
        counts_CV = state.counts_CV
        if counts_CV is not None:
            counts_CV = counts_CV.at[jnp.arange(len(tokens_C)), tokens_C].add(1)
        x_C1D, cache = extend(params, tokens_C[:, None], state.cache, state.position, config, dtype)
        logits_CV = _logits(params, x_C1D, config, dtype)
        state = _Decoding(cache, logits_CV, state.position + 1, ended_C, state.key, counts_CV)
        return state, (tokens_C, log_probs_C, best_CK[1], best_CK[0])

    state, rows = jax.lax.scan(advance, state, length=CHUNK)
    return state, [jnp.swapaxes(row, 0, 1) for row in rows]


def _logits(params, x_C1D, config, dtype):
    return apply_head(params["norm_out"], head_table(params, config), x_C1D, config, dtype)[:, 0]


def _draw(state: _Decoding, log_probs_CV, first, drawing: Drawing, marks: Marks):
    """One token for every candidate.

    Marks other than the end of a turn are never drawn, nor is an empty reply.
    """
    ids_V = np.arange(log_probs_CV.shape[1])
    barred_V = np.isin(ids_V, marks.barred) | (first & (ids_V == marks.end))
    wanted_CV = log_probs_CV
    if drawing.bias_V is not None:
        wanted_CV += drawing.bias_V
    if drawing.penalties is not None:
        assert state.counts_CV is not None
        once, every_time = drawing.penalties
        wanted_CV -= once * (state.counts_CV > 0) + every_time * state.counts_CV
    allowed_CV = jnp.where(barred_V, -jnp.inf, wanted_CV)
    greedy = jnp.asarray(drawing.temperature) == 0
    tokens_C = jax.lax.cond(
        greedy,
        lambda: largest(allowed_CV),
        lambda: largest(_noisy(state, allowed_CV / drawing.temperature, drawing.top_p)),
    )
    return jnp.where(state.ended_C, marks.end, tokens_C)


def _noisy(state: _Decoding, scaled_CV, top_p: Number):
    """Log-probabilities of the nucleus with Gumbel noise: the largest is a fair draw."""
    scaled_CV = nucleus(jax.nn.log_softmax(scaled_CV), top_p)

    def noise_V(candidate):
        key = jax.random.fold_in(jax.random.fold_in(state.key, candidate), state.position)
        return jax.random.gumbel(key, scaled_CV.shape[1:], scaled_CV.dtype)

    noise_CV = jax.vmap(noise_V)(jnp.arange(scaled_CV.shape[0]))
    return jax.lax.optimization_barrier(scaled_CV + noise_CV)


def nucleus(log_probs_CV: jax.Array, top_p: Number) -> jax.Array:
    """The log-probabilities with all but the smallest set of mass `top_p` at minus infinity.

    The set's least probability is found by bisection, which needs no sort over the vocabulary.
    Source: nucleus sampling, arXiv 1904.09751.
    """
    probs_CV = jnp.exp(log_probs_CV)

    def halve(_, bounds):
        low_C1, high_C1 = bounds
        middle_C1 = (low_C1 + high_C1) / 2
        mass_C1 = jnp.sum(jnp.where(probs_CV >= middle_C1, probs_CV, 0), axis=-1, keepdims=True)
        enough = mass_C1 >= top_p
        return jnp.where(enough, middle_C1, low_C1), jnp.where(enough, high_C1, middle_C1)

    high_C1 = jnp.max(probs_CV, axis=-1, keepdims=True)
    bounds = (jnp.zeros_like(high_C1), high_C1 * (1 + 1e-6))
    least_C1, _ = jax.lax.fori_loop(0, 30, halve, bounds)
    kept_CV = (probs_CV >= least_C1) | (jnp.asarray(top_p) >= 1)
    return jnp.where(kept_CV, log_probs_CV, -jnp.inf)
