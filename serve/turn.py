"""One thing said and the replies to it."""

import dataclasses
from typing import TYPE_CHECKING

from model.chat import Message
from serve.sample import Reply
from train.lesson import Lesson, Question

if TYPE_CHECKING:
    from serve.session import Session


@dataclasses.dataclass(frozen=True)
class Turn:
    """The replies to one thing said; `pick` or `teach` makes it a lesson, once."""

    session: "Session"
    event: int
    question: Question
    messages: tuple[Message, ...]
    replies: tuple[Reply, ...]

    def pick(self, number: int) -> Lesson:
        """The lesson that reply `number` (1 is the first) was the right answer."""
        if not 1 <= number <= len(self.replies):
            raise ValueError(
                f"a pick must be from 1 to {len(self.replies)}, got {number}; pick one of those."
            )
        return self.session.learn(self, self.replies[number - 1].text, "pick")

    def teach(self, answer: str) -> Lesson:
        """The lesson that `answer` would have been the right one."""
        return self.session.learn(self, answer.strip(), "teach")
