"""Several replies to one prompt in one batched, cached decode; a pure function of its key."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.typing import DTypeLike

from model.config import ModelConfig
from model.tokenizer import Tokenizer
from model.transformer import Params
from serve.decode import Drawing, decode


@dataclasses.dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How replies are drawn. `top_p` 1 keeps all tokens; a temperature of 0 is greedy.

    With `remember` the first is the taught answer that the words call to mind, if one
    stands out.
    """

    replies: int = 5
    max_new_tokens: int = 40
    temperature: float = 0.7
    top_p: float = 0.95
    remember: bool = True

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

    `log_prob` sums over the ids and the end mark when one was drawn, at temperature 1. A
    `remembered` one was not drawn: it is a taught answer, scored after the question alone.
    """

    ids: tuple[int, ...]
    text: str
    log_prob: float
    ended: bool
    remembered: bool = False


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
    for drawn in decode(
        params,
        prompt,
        key,
        tokenizer,
        config,
        dtype,
        candidates=sampling.replies,
        steps=sampling.max_new_tokens,
        drawing=Drawing(np.float32(sampling.temperature), np.float32(sampling.top_p)),
    ):
        rows = zip(drawn.ids_CT, drawn.log_probs_CT, strict=True)
        yield [_reply(ids_T, log_probs_T, tokenizer) for ids_T, log_probs_T in rows]


def _reply(ids_T: np.ndarray, log_probs_T: np.ndarray, tokenizer: Tokenizer) -> Reply:
    ends = np.flatnonzero(ids_T == tokenizer.turn_end)
    ended = len(ends) > 0
    stop = int(ends[0]) if ended else len(ids_T)
    ids = tuple(int(token) for token in ids_T[:stop])
    log_prob = math.fsum(float(value) for value in log_probs_T[: stop + ended])
    return Reply(ids, tokenizer.decode(ids), log_prob, ended)
