"""The journal's file: opened, proved to be ours and undamaged, and brought to this format."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from train import durable
from train.records import row_checksum
from train.schema import APPLICATION_ID, FORMAT

# Damage in the schema reaches us as an error message that is not even text.
ERRORS = (sqlite3.Error, UnicodeDecodeError)


def connect(path: Path, options: str) -> sqlite3.Connection:
    """An open connection; every commit reaches the disk."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{options}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    with contextlib.ExitStack() as stack:
        stack.callback(connection.close)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        stack.pop_all()
    return connection


def connect_writer(path: Path) -> sqlite3.Connection:
    """A connection that may write."""
    # A copied folder may have lost its permissions; SQLite gives -wal and -shm those of the file.
    with contextlib.suppress(PermissionError):
        path.chmod(0o600)
    return connect(path, "mode=rw")


def connect_reader(path: Path) -> sqlite3.Connection:
    """A connection that never writes; works beside a writer and on a read-only disk."""
    try:
        return connect(path, "mode=ro")
    except sqlite3.OperationalError:
        # A folder that forbids writing has no room for the index of the WAL. Without a WAL there is
        # nothing to index; with one, `immutable` would hide the newest events.
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and wal.stat().st_size:
            raise
        return connect(path, "mode=ro&immutable=1")


def require_ours(path: Path, connection: sqlite3.Connection) -> None:
    """The journal is ours, of a known format, whole, and every row is as it was written."""

    def value(query: str) -> Any:
        return connection.execute(query).fetchone()[0]

    if value("PRAGMA application_id") != APPLICATION_ID:
        raise ValueError(f"{path} is not a journal of this program; check --workdir.")
    if (found := value("PRAGMA user_version")) > FORMAT:
        raise ValueError(
            f"the journal {path} has format {found}, this program reads up to {FORMAT}; "
            "install a newer version."
        )
    if (result := value("PRAGMA quick_check(1)")) != "ok":
        raise ValueError(unreadable_sentence(path, result))
    if (newest := value("SELECT max(id) FROM events") or 0) != value("SELECT count(*) FROM events"):
        raise ValueError(unreadable_sentence(path, f"events up to {newest} are missing"))
    for row in connection.execute("SELECT * FROM events ORDER BY id"):
        if row_checksum(row[:4]) != row[4]:
            raise ValueError(unreadable_sentence(path, f"event {row[0]} has changed"))


def migrate(path: Path, connection: sqlite3.Connection) -> None:
    """The journal has this program's format; the file as it was is kept beside it."""
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found == FORMAT:
        return
    kept = path.with_name(f"{path.stem}.format-{found}.sqlite")
    part = path.with_name(f".{kept.name}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    with contextlib.closing(connect(part, "mode=rw")) as copy:
        connection.backup(copy)
        # One plain file, without a WAL beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
    durable.fsync_file(part)
    part.replace(kept)
    durable.fsync_folder(path.parent)
    connection.execute(f"PRAGMA user_version = {FORMAT}")


def unreadable_sentence(path: Path, reason: object) -> str:
    """The sentence for a journal that cannot be used."""
    what = " ".join(str(reason).split())
    return f"the journal {path} is damaged or unreadable: {what}; restore it from a copy."
