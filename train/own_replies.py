"""What the model itself says to ordinary prompts: the anchor that holds the rest in place.

The replies are taken from the weights once, before the first lesson after some reading, and ride
along in the lessons that follow. Never are they replies of this very moment: a model that always
trains on those feeds on itself. Beside a typed lesson the likeliest replies hold what the model
says. Beside a pick, which is to change how it speaks, drawn ones hold how many ways it has: the
gradient of their loss is, in the mean, that of the divergence from the distribution they are of.
"""

import functools
from collections.abc import Callable
from importlib import resources
from typing import NamedTuple

import jax
from jax.typing import DTypeLike

from model.axes import count_parameters
from model.chat import Message, encode_prompt
from model.config import ModelConfig
from model.tokenizer import Tokenizer
from model.transformer import Params
from train.answers import answer_all
from train.life import OWN_REPLIES_STREAM, Life, LifeState
from train.schedule import Exchange

# Tokens of a prompt, and of a reply, at most; longer ones are left out.
PROMPT_TOKENS, REPLY_TOKENS = 32, 16
# Drawn replies to every prompt, at most: these, fewer in large models, for they take their time.
DRAWN, DRAWN_PARAMETERS = 3, 64_000_000


@functools.cache
def ordinary_prompts() -> tuple[str, ...]:
    """The prompts whose replies are the anchor: greetings, small talk, questions of all kinds."""
    text = resources.files("train").joinpath("ordinary_prompts.txt").read_text(encoding="utf-8")
    return tuple(text.split("\n")[:-1])


class OwnReplies(NamedTuple):
    """The model's likeliest reply to each ordinary prompt, and replies drawn at temperature 1."""

    likeliest: tuple[Exchange, ...]
    drawn: tuple[Exchange, ...]


def own_replies(
    params: Params,
    tokenizer: Tokenizer,
    config: ModelConfig,
    dtype: DTypeLike,
    key: jax.Array,
    before_each: Callable[[], None] = lambda: None,
) -> OwnReplies:
    """Replies to the ordinary prompts, where both are short, some of each drawn with the key.

    Args:
      params: master parameters.
      dtype: what matrix products round their inputs to.
      before_each: called before every batch of prompts; what it raises ends the asking.
    """
    length = min(PROMPT_TOKENS + REPLY_TOKENS, config.context)
    prompts = []
    for say in ordinary_prompts():
        ids = encode_prompt(tokenizer, [Message("user", say)], 2**31)
        if len(ids) <= length - REPLY_TOKENS:
            prompts.append((say, ids))

    def replies(times: int, temperature: float) -> tuple[Exchange, ...]:
        asked = prompts * times
        answers = answer_all(
            params,
            [ids for _, ids in asked],
            tokenizer,
            config,
            dtype,
            length=length,
            limit=REPLY_TOKENS,
            temperature=temperature,
            key=key,
            before_each=before_each,
        )
        return tuple(
            Exchange(say, answer)
            for (say, _), answer in zip(asked, answers, strict=True)
            if answer is not None
        )

    times = max(1, min(DRAWN, DRAWN_PARAMETERS // count_parameters(config)))
    return OwnReplies(replies(1, 0.0), replies(times, 1.0))


class _StoppedError(Exception):
    """The asking was stopped."""


def with_own_replies(
    life: Life, state: LifeState, should_stop: Callable[[], bool] = lambda: False
) -> LifeState:
    """The state whose memory has the model's own replies, asked for now if it has read since.

    Stopped on the way, it is the state as it was.
    """
    if None not in (state.memory.own, state.memory.drawn) and not state.memory.stale:
        return state
    config = state.config
    key = life.stream(OWN_REPLIES_STREAM, state.lessons)

    def go_on() -> None:
        if should_stop():
            raise _StoppedError

    try:
        own = own_replies(
            state.train.params, life.tokenizer, config.model, config.dtype, key, go_on
        )
    except _StoppedError:
        return state
    memory = state.memory._replace(own=own.likeliest, drawn=own.drawn, stale=False)
    return state._replace(memory=memory)
