"""The number of the last acknowledged event, beside the journal.

SQLite takes a damaged frame of its log for the end of the log, so damage there would lose the
newest events in silence. This number tells. It is written after the commit and never synced: a
power cut may leave an older one, which says nothing, but never a newer one.
"""

import contextlib
import os
from pathlib import Path


def write_head(path: Path, event: int) -> None:
    """The file has the number, twice; a disk that refuses it takes nothing from the event."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, f"{event:020d} {event:020d}\n".encode(), 0)
        finally:
            os.close(descriptor)


def read_head(path: Path) -> int:
    """The number in the file; 0 when there is none, or when the file is damaged."""
    try:
        one, other = path.read_bytes().split()
        return int(one) if one == other else 0
    except (OSError, ValueError):
        return 0
