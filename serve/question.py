"""A question that leaves room for its answer."""

import sys
from collections.abc import Sequence

from model.chat import Message, encode_answer, encode_prompt
from model.tokenizer import Tokenizer
from train.lesson import Question


def shortened(
    tokenizer: Tokenizer, question: Question, messages: Sequence[Message], answer: str, limit: int
) -> Question:
    """The question with as much of the conversation before it as a long answer leaves.

    Args:
      messages: the conversation, the question last.
      limit: ids of prompt and answer together, at most.

    Raises:
      ValueError: the question alone leaves the answer no room.
    """
    n_answer = len(encode_answer(tokenizer, answer))
    room = limit - n_answer
    if len(question.prompt) <= room:
        return question._replace(room=min(room, question.room or room))
    shortest = encode_prompt(tokenizer, messages[-1:], sys.maxsize)
    if len(shortest) > room:
        raise ValueError(
            f"the answer has {n_answer} tokens, want at most "
            f"{n_answer + room - len(shortest)} after this question; shorten the answer."
        )
    return question._replace(prompt=encode_prompt(tokenizer, messages, room), room=room)
