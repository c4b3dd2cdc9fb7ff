"""One turn of a conversation: what was said, the replies, and the lesson it may become."""

import dataclasses
import sys
from typing import Any, Protocol

from model.chat import Message, encode_answer, encode_prompt
from model.tokenizer import Tokenizer
from serve.sample import Reply, SamplingConfig
from train.lesson import Kind, Lesson, Question


class Learner(Protocol):
    """Who makes a lesson of a turn: the session it belongs to."""

    def learn(self, turn: "Turn", answer: str, kind: Kind, *, spread: bool = False) -> Lesson: ...


@dataclasses.dataclass(frozen=True)
class Turn:
    """The replies to one thing said; `pick` or `teach` makes it a lesson, once."""

    session: Learner
    event: int
    question: Question
    messages: tuple[Message, ...]
    replies: tuple[Reply, ...]

    def numbered(self, event: int) -> "Turn":
        """The turn as the journal has it."""
        question = self.question._replace(turn=event)
        return dataclasses.replace(self, event=event, question=question)

    def pick(self, number: int) -> Lesson:
        """The lesson that reply `number` (1 is the first) was the right answer."""
        if not 1 <= number <= len(self.replies):
            raise ValueError(
                f"a pick must be from 1 to {len(self.replies)}, got {number}; pick one of those."
            )
        reply = self.replies[number - 1]
        # A taught answer that also fits these words is taught to them, and not a way of speaking.
        return self.session.learn(self, reply.text, "teach" if reply.remembered else "pick")

    def others(self, answer: str, kind: Kind) -> tuple[str, ...]:
        """The replies that a picked one was preferred to, each once; none of a typed answer."""
        texts = [reply.text for reply in self.replies] if kind == "pick" else []
        return tuple(dict.fromkeys(t for t in texts if t.strip() and t.strip() != answer.strip()))

    def teach(self, answer: str, *, spread: bool = False) -> Lesson:
        """The lesson that `answer` would have been the right one.

        With `spread` it is a light one, and what is left to learn comes with the next lessons.
        """
        return self.session.learn(self, answer.strip(), "teach", spread=spread)


def replies_data(turn: Turn, sampling: SamplingConfig, origin: str) -> dict[str, Any]:
    """What the journal keeps of a turn; `origin` is where its words came from."""
    return {
        "say": turn.question.say,
        "replies": [reply._asdict() for reply in turn.replies],
        "sampling": dataclasses.asdict(sampling),
        "origin": origin,
    }


def question_before(turn: Turn, answer: str, tokenizer: Tokenizer, context: int) -> Question:
    """The turn's question with as much of the conversation before it as the answer leaves.

    Raises:
      ValueError: the answer does not fit even after the question alone; gives both lengths.
    """
    n_answer = len(encode_answer(tokenizer, answer))
    room = context + 1 - n_answer
    if len(turn.question.prompt) <= room:
        return turn.question._replace(room=min(room, turn.question.room or room))
    shortest = encode_prompt(tokenizer, turn.messages[-1:], sys.maxsize)
    if len(shortest) > room:
        raise ValueError(
            f"the answer has {n_answer} tokens, want at most "
            f"{n_answer + room - len(shortest)} after this question; shorten the answer."
        )
    prompt = encode_prompt(tokenizer, turn.messages, room)
    return turn.question._replace(prompt=prompt, room=room)
