"""The conversation in the prompt: the context file of a life, read, edited, changed by events."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from model.chat import Message, fitting_messages, parse_context
from train.context_file import changing_context, read_context, write_context
from train.life import Life
from train.talk import spoken


class Conversation:
    """The turns so far, as the file has them now; the owner may edit it at any time."""

    def __init__(self, life: Life) -> None:
        self.life = life

    def messages(self) -> list[Message]:
        """The turns so far."""
        return read_context(self.life.context_file, self.life.journal)

    def edit(self, text: str) -> None:
        """The file holds the turns that `text` has, as `parse_context` reads them."""
        write_context(self.life.context_file, self.life.journal, parse_context(text))

    def after(self, say: str, answer: str, room: int) -> Sequence[Message]:
        """The turns with one more exchange, the oldest left out until they have `room` tokens."""
        messages = [*self.messages(), *spoken(say, answer)]
        return fitting_messages(self.life.tokenizer, messages, room)

    def becomes(self, messages: Sequence[Message]) -> AbstractContextManager[None]:
        """In the block one event is appended; with it, not without, the file has these turns."""
        if messages == self.messages():
            return nullcontext()
        return changing_context(self.life.context_file, self.life.journal, messages)
