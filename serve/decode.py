"""Batched, cached decoding: a few compiled functions, whatever the temperature or the penalties."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from model.cache import LayerCache, init_cache, repeat
from model.config import ModelConfig
from model.tokenizer import Tokenizer
from model.transformer import Params, apply_head, extend, head_table

# Tokens per compiled call: small enough to stream, large enough to hide the call.
CHUNK = 4
PROMPT_BLOCK = 64


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
    cache: list[LayerCache]
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
    steps = min(steps, config.context - len(prompt))
    if steps < 1:
        raise ValueError(
            f"a prompt must leave room in the context of {config.context} tokens, "
            f"got {len(prompt)}; shorten it or forget the context."
        )
    state = _start(params, prompt, key, config, candidates, drawing, dtype)
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


def _start(params, prompt, key, config, candidates, drawing, dtype) -> _Decoding:
    """The prompt read once, in whole blocks, and shared by all candidates.

    Padding behind the prompt leaves rows in the cache that nothing sees before a new token
    has overwritten them; in the ring of a windowed head it leaves none.
    """
    padded = -(-len(prompt) // PROMPT_BLOCK) * PROMPT_BLOCK
    tokens_1T = np.zeros((1, min(padded, config.context)), np.int32)
    tokens_1T[0, : len(prompt)] = prompt
    state = prefill(params, tokens_1T, len(prompt), key, config, candidates, dtype)
    if drawing.penalties is None:
        return state
    return state._replace(counts_CV=jnp.zeros_like(state.logits_CV))


@partial(jax.jit, static_argnames=("config", "candidates", "dtype"))
def prefill(params, tokens_1T, length, key, config, candidates, dtype) -> _Decoding:
    """The state after a prompt of `length` ids, ready to draw for so many candidates."""
    cache = init_cache(config, 1, config.context, dtype)
    x_1TD, cache = extend(params, tokens_1T, cache, jnp.int32(0), config, dtype, length)
    last_11D = jax.lax.dynamic_slice_in_dim(x_1TD, length - 1, 1, axis=1)
    logits_1V = _logits(params, last_11D, config, dtype)
    return _Decoding(
        cache=repeat(cache, candidates),
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
    ids_V = jnp.arange(log_probs_CV.shape[1])
    barred_V = jnp.isin(ids_V, jnp.array(marks.barred)) | (first & (ids_V == marks.end))
    wanted_CV = log_probs_CV
    if drawing.bias_V is not None:
        wanted_CV += drawing.bias_V
    if drawing.penalties is not None:
        assert state.counts_CV is not None
        once, every_time = drawing.penalties
        wanted_CV -= once * (state.counts_CV > 0) + every_time * state.counts_CV
    allowed_CV = jnp.where(barred_V, -jnp.inf, wanted_CV)
    greedy = drawing.temperature == 0
    scaled_CV = jax.nn.log_softmax(allowed_CV / jnp.where(greedy, 1.0, drawing.temperature))
    scaled_CV = nucleus(scaled_CV, drawing.top_p)
    candidates_C = jnp.arange(scaled_CV.shape[0])
    drawn_C = jax.vmap(
        lambda c, row: jax.random.categorical(
            jax.random.fold_in(jax.random.fold_in(state.key, c), state.position), row
        )
    )(candidates_C, scaled_CV)
    tokens_C = jnp.where(greedy, jnp.argmax(allowed_CV, axis=-1), drawn_C)
    return jnp.where(state.ended_C, marks.end, tokens_C).astype(jnp.int32)


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
