"""What the model itself says to ordinary prompts: the anchor that holds the rest in place.

The replies are taken from the weights once, before the first lesson after some reading, and ride
along in the lessons that follow. Never are they replies of this very moment: a model that always
trains on those feeds on itself. They are drawn at temperature 1, so that what they hold in place
is the distribution: the gradient of their loss is, in the mean, that of the divergence from it.
"""

import functools
from importlib import resources

import jax
from jax.typing import DTypeLike

from model.chat import Message, encode_prompt
from model.config import ModelConfig
from model.tokenizer import Tokenizer
from model.transformer import Params
from train.answers import answer_all
from train.schedule import Exchange

# Tokens of a prompt, and of a reply, at most; longer ones are left out.
PROMPT_TOKENS, REPLY_TOKENS = 32, 16
# Replies to every prompt.
DRAWN = 3


@functools.cache
def ordinary_prompts() -> tuple[str, ...]:
    """The prompts whose replies are the anchor: greetings, small talk, questions of all kinds."""
    text = resources.files("train").joinpath("ordinary_prompts.txt").read_text(encoding="utf-8")
    return tuple(text.split("\n")[:-1])


def own_replies(
    params: Params, tokenizer: Tokenizer, config: ModelConfig, dtype: DTypeLike, key: jax.Array
) -> tuple[Exchange, ...]:
    """Replies of the model to the ordinary prompts, where both are short, `DRAWN` of each.

    Args:
      params: master parameters.
      dtype: what matrix products round their inputs to.
      key: what the replies are drawn with.
    """
    length = min(PROMPT_TOKENS + REPLY_TOKENS, config.context)
    prompts = []
    for say in ordinary_prompts():
        ids = encode_prompt(tokenizer, [Message("user", say)], 2**31)
        if len(ids) <= length - REPLY_TOKENS:
            prompts += [(say, ids)] * DRAWN
    answers = answer_all(
        params,
        [ids for _, ids in prompts],
        tokenizer,
        config,
        dtype,
        length=length,
        limit=REPLY_TOKENS,
        temperature=1.0,
        key=key,
    )
    return tuple(
        Exchange(say, answer)
        for (say, _), answer in zip(prompts, answers, strict=True)
        if answer is not None
    )
