"""What is damaged in a model folder, file by file, without changing anything."""

from collections.abc import Iterator

from train.effective import effective_events
from train.life import Life
from train.replay import missing_events
from train.saved import load_state


def damage(life: Life) -> Iterator[str]:
    """A sentence for each checkpoint and book that is not what it was when it was written.

    Journal and tokenizer were proved undamaged when the life was opened, but for newest events that
    a damaged log has lost. A damaged checkpoint
    costs a longer replay; a damaged book stops what needs it until it is restored from a copy.
    """
    if missing := missing_events(life):
        yield missing
    for row in filter(life.disk.may_have, life.journal.checkpoints()):
        try:
            load_state(life, row)
        except (ValueError, OSError) as error:
            yield str(error)
    events = effective_events(life.journal, kinds=("read",))
    for sha256 in dict.fromkeys(sha for event in events for sha in event.data["books"]):
        try:
            life.library.get([sha256])
        except ValueError as error:
            yield str(error)
