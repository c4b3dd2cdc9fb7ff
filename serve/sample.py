"""Several replies to one prompt in one batched, cached decode; a pure function of its key."""

import dataclasses
import math
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How replies are drawn. `top_p` 1 keeps all tokens; a temperature of 0 is greedy."""

    replies: int = 5
    max_new_tokens: int = 40
    temperature: float = 0.7
    top_p: float = 0.95

    def __post_init__(self) -> None:
        if self.replies < 1 or self.max_new_tokens < 1:
            raise ValueError(
                f"replies and max_new_tokens must be at least 1, got {self.replies} and "
                f"{self.max_new_tokens}; enlarge them."
            )
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must be at least 0, got {self.temperature}; correct it.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must be in (0, 1], got {self.top_p}; correct it.")


class Reply(NamedTuple):
    """One candidate: its ids without the end mark, text, and log-probability in nats.

    `log_prob` sums over the ids and the end mark when one was drawn, at temperature 1.
    """

    ids: tuple[int, ...]
    text: str
    log_prob: float
    ended: bool


class _Marks(NamedTuple):
    """Which ids end a reply and which are never drawn; hashable, so that a jit may know them."""

    end: int
    barred: tuple[int, ...]


class _Decoding(NamedTuple):
    cache: list[LayerCache]
    logits_CV: jax.Array
    position: jax.Array
    ended_C: jax.Array
    key: jax.Array


@partial(jax.jit, static_argnames=("dtype",))
def compute_copy(params: Params, dtype: DTypeLike) -> Params:
    """The parameters with matrices rounded to what products use; gains stay as they are."""
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if leaf.ndim > 1 else leaf, params)


def sample_replies(
    params: Params,
    prompt: Sequence[int],
    key: jax.Array,
    tokenizer: Tokenizer,
    config: ModelConfig,
    sampling: SamplingConfig,
    dtype: DTypeLike,
) -> Iterator[list[Reply]]:
    """The replies so far, all of them, after every few tokens; the last item is complete.

    Candidate c at position p draws with fold_in(fold_in(key, c), p), whatever the others do.

    Args:
      params: a `compute_copy`, or master parameters.
      prompt: ids that the replies go on from.
    """
    steps = min(sampling.max_new_tokens, config.context - len(prompt))
    if steps < 1:
        raise ValueError(
            f"a prompt must leave room in the context of {config.context} tokens, "
            f"got {len(prompt)}; shorten it or forget the context."
        )
    state = _start(params, prompt, key, config, sampling, dtype)
    marks = _marks(tokenizer)
    ids_CT = np.zeros((sampling.replies, 0), np.int32)
    log_probs_CT = np.zeros((sampling.replies, 0), np.float32)
    for _ in range(0, steps, CHUNK):
        state, ids, log_probs = _decode(params, state, len(prompt), config, sampling, dtype, marks)
        ids_CT = np.concatenate([ids_CT, np.asarray(ids)], axis=1)[:, :steps]
        log_probs_CT = np.concatenate([log_probs_CT, np.asarray(log_probs)], axis=1)[:, :steps]
        yield [
            _reply(ids, log_probs, tokenizer)
            for ids, log_probs in zip(ids_CT, log_probs_CT, strict=True)
        ]
        if bool(np.all(state.ended_C)):
            return


def _marks(tokenizer: Tokenizer) -> _Marks:
    end = tokenizer.turn_end
    wordless = np.flatnonzero(tokenizer.n_bytes_V == 0)
    return _Marks(end, tuple(int(token) for token in wordless if token != end))


def _reply(ids_T: np.ndarray, log_probs_T: np.ndarray, tokenizer: Tokenizer) -> Reply:
    ends = np.flatnonzero(ids_T == tokenizer.turn_end)
    ended = len(ends) > 0
    stop = int(ends[0]) if ended else len(ids_T)
    ids = tuple(int(token) for token in ids_T[:stop])
    log_prob = math.fsum(float(value) for value in log_probs_T[: stop + ended])
    return Reply(ids, tokenizer.decode(ids), log_prob, ended)


def _start(params, prompt, key, config, sampling, dtype) -> _Decoding:
    """The prompt read once, in whole blocks, and shared by all candidates.

    Padding behind the prompt leaves rows in the cache that nothing sees before a new token
    has overwritten them; in the ring of a windowed head it leaves none.
    """
    padded = -(-len(prompt) // PROMPT_BLOCK) * PROMPT_BLOCK
    tokens_1T = np.zeros((1, min(padded, config.context)), np.int32)
    tokens_1T[0, : len(prompt)] = prompt
    return _prefill(params, tokens_1T, len(prompt), key, config, sampling, dtype)


_static = partial(jax.jit, static_argnames=("config", "sampling", "dtype"))


@_static
def _prefill(params, tokens_1T, length, key, config, sampling, dtype):
    cache = init_cache(config, 1, config.context, dtype)
    x_1TD, cache = extend(params, tokens_1T, cache, jnp.int32(0), config, dtype, length)
    last_11D = jax.lax.dynamic_slice_in_dim(x_1TD, length - 1, 1, axis=1)
    logits_1V = _logits(params, last_11D, config, dtype)
    count = sampling.replies
    return _Decoding(
        cache=repeat(cache, count),
        logits_CV=jnp.repeat(logits_1V, count, axis=0),
        position=jnp.int32(length),
        ended_C=jnp.zeros(count, bool),
        key=key,
    )


@partial(jax.jit, static_argnames=("config", "sampling", "dtype", "marks"), donate_argnums=(1,))
def _decode(params, state, prompt_length, config, sampling, dtype, marks):
    def advance(state: _Decoding, _):
        tokens_C, log_probs_C = _draw(state, state.position == prompt_length, sampling, marks)
        ended_C = state.ended_C | (tokens_C == marks.end)
        x_C1D, cache = extend(params, tokens_C[:, None], state.cache, state.position, config, dtype)
        logits_CV = _logits(params, x_C1D, config, dtype)
        state = _Decoding(cache, logits_CV, state.position + 1, ended_C, state.key)
        return state, (tokens_C, log_probs_C)

    state, (tokens_TC, log_probs_TC) = jax.lax.scan(advance, state, length=CHUNK)
    return state, tokens_TC.T, log_probs_TC.T


def _logits(params, x_C1D, config, dtype):
    return apply_head(params["norm_out"], head_table(params, config), x_C1D, config, dtype)[:, 0]


def _draw(state: _Decoding, first, sampling: SamplingConfig, marks: _Marks):
    """One token for every candidate, and its log-probability under the model itself.

    Marks other than the end of a turn are never drawn, nor is an empty reply.
    """
    log_probs_CV = jax.nn.log_softmax(state.logits_CV)
    ids_V = jnp.arange(log_probs_CV.shape[1])
    barred_V = jnp.isin(ids_V, jnp.array(marks.barred)) | (first & (ids_V == marks.end))
    allowed_CV = jnp.where(barred_V, -jnp.inf, log_probs_CV)
    if sampling.temperature == 0:
        tokens_C = jnp.argmax(allowed_CV, axis=-1)
    else:
        scaled_CV = nucleus(jax.nn.log_softmax(allowed_CV / sampling.temperature), sampling.top_p)
        candidates_C = jnp.arange(scaled_CV.shape[0])
        tokens_C = jax.vmap(
            lambda c, row: jax.random.categorical(
                jax.random.fold_in(jax.random.fold_in(state.key, c), state.position), row
            )
        )(candidates_C, scaled_CV)
    tokens_C = jnp.where(state.ended_C, marks.end, tokens_C).astype(jnp.int32)
    return tokens_C, jnp.take_along_axis(log_probs_CV, tokens_C[:, None], axis=-1)[:, 0]


def nucleus(log_probs_CV: jax.Array, top_p: float) -> jax.Array:
    """The log-probabilities with all but the smallest set of mass `top_p` at minus infinity.

    The set's least probability is found by bisection, which needs no sort over the vocabulary.
    Source: nucleus sampling, arXiv 1904.09751.
    """
    if top_p >= 1:
        return log_probs_CV
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
    return jnp.where(probs_CV >= least_C1, log_probs_CV, -jnp.inf)
