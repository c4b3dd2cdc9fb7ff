"""The file in the model folder that holds the conversation in the prompt, as text.

An event that changes the conversation is in the journal and in this file, or in neither: the new
text is on the disk under a name with the event's number before the event is, and gets the file's
name after it. A crash in between leaves the text for the next opening.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from model.chat import Message, format_context, parse_context
from train.durable import fsync_folder, write_file
from train.journal import Journal

_CHANGING = ("lesson", "forget", "undo")
_NEXT = re.compile(r"\.context\.(\d+)\.next")


def read_context(path: Path, journal: Journal) -> list[Message]:
    """The turns of the file as it is now; none when there is no file.

    Raises:
      ValueError: not UTF-8 text, or words before the first turn.
    """
    path = present_file(path, journal)
    try:
        return parse_context(path.read_text(encoding="utf-8")) if path.exists() else []
    except UnicodeDecodeError as error:
        raise ValueError(
            f"the context file {path} is not UTF-8 text ({error.reason}); correct or remove it."
        ) from error


@contextlib.contextmanager
def changing_context(path: Path, journal: Journal, messages: Sequence[Message]) -> Iterator[None]:
    """The file holds these turns, durably, if the event appended in the block is in the journal.

    Raises:
      ValueError: the disk refuses; the block has not begun.
    """
    settle_context(path, journal)
    last = journal.last()
    waiting = path.with_name(f".context.{(last.id if last else 0) + 1}.next")
    write_file(waiting, format_context(messages).encode())
    try:
        yield
    except BaseException:
        if present_file(path, journal) != waiting:
            with contextlib.suppress(OSError):
                waiting.unlink()
        raise
    settle_context(path, journal)


def write_context(path: Path, journal: Journal, messages: Sequence[Message]) -> None:
    """The file holds these turns, durably, as its owner edited them; no event knows of it."""
    settle_context(path, journal)
    write_file(path, format_context(messages).encode())


def settle_context(path: Path, journal: Journal) -> None:
    """What the newest event made of the conversation has the file's name; nothing else waits.

    What a disk does not allow now is left for the next time: until then `read_context` finds it.
    """
    present = present_file(path, journal)
    with contextlib.suppress(OSError):
        if present != path:
            present.replace(path)
            fsync_folder(path.parent)
        for name in _waiting(path.parent).values():
            name.unlink(missing_ok=True)


def present_file(path: Path, journal: Journal) -> Path:
    """The file that holds the conversation: `path`, or one that waits to get this name."""
    waiting = _waiting(path.parent)
    for event, name in sorted(waiting.items(), reverse=True):
        found = next(journal.events(event - 1, _CHANGING, event), None)
        if found is not None:
            return name
    return path


def _waiting(folder: Path) -> dict[int, Path]:
    found = ((_NEXT.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in found if match}
