"""The conversation in the prompt, as plain text that its owner may edit."""

from collections.abc import Sequence
from pathlib import Path

from model.chat import Message, format_context, parse_context
from train.durable import write_file


def read_context(path: Path) -> list[Message]:
    """The turns of the file as it is now; none when there is no file.

    Raises:
      ValueError: not UTF-8 text, or words before the first turn.
    """
    try:
        return parse_context(path.read_text(encoding="utf-8")) if path.exists() else []
    except UnicodeDecodeError as error:
        raise ValueError(
            f"the context file {path} is not UTF-8 text ({error.reason}); correct or remove it."
        ) from error


def write_context(path: Path, messages: Sequence[Message]) -> None:
    """The file holds these turns, durably."""
    write_file(path, format_context(messages).encode())
