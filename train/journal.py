"""The journal: every event of a model's life, one row each, on the disk before it is acknowledged.

SQLite in WAL mode with synchronous=FULL. This is the only file that imports sqlite3.
"""

import contextlib
import json
import sqlite3
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from train import durable
from train.head import read_head, write_head
from train.records import (
    CheckpointRow,
    Event,
    Hit,
    encode_data,
    event_checksum,
    row_checksum,
    searchable,
    utc_now,
)
from train.schema import APPLICATION_ID, FORMAT, SCHEMA

_PAGE = 256
# Damage in the schema reaches us as an error message that is not even text.
_ERRORS = (sqlite3.Error, UnicodeDecodeError)


class Journal:
    """An open journal; use it in a `with` statement. Threads may share it."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._head = path.with_name("journal.head")
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def create(cls, path: Path) -> Self:
        """An empty journal is at `path`, in a folder that only its owner can enter.

        Raises:
          ValueError: `path` exists already, or the disk refuses.
        """
        if path.exists():
            raise ValueError(f"the journal {path} already exists; open it, or choose a new folder.")
        # Made under another name: a crash leaves no half-made journal.
        part = path.with_name(f".{path.name}.part")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.chmod(0o700)
            part.unlink(missing_ok=True)
            part.touch(mode=0o600)
            with contextlib.closing(_connect(part, "mode=rw")) as connection:
                connection.executescript(f"BEGIN;{SCHEMA}COMMIT;PRAGMA journal_mode = WAL;")
            part.rename(path)
            durable.fsync_folder(path.parent)
            durable.fsync_folder(path.parent.parent)
        except (OSError, sqlite3.Error) as error:
            raise ValueError(f"the journal {path} could not be created: {error}.") from error
        return cls.open(path)

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """The journal at `path`, found undamaged; `read_only` works beside an active writer.

        Raises:
          ValueError: there is none, it is not ours, of another format, or damaged.
        """
        if not path.is_file():
            raise ValueError(f"there is no journal {path}; check --workdir.")
        with contextlib.ExitStack() as stack:
            try:
                connection = _connect_reader(path) if read_only else _connect_writer(path)
                stack.callback(connection.close)
                _require_ours(path, connection)
            except _ERRORS as error:
                raise ValueError(_unreadable_sentence(path, error)) from error
            except OSError as error:
                raise ValueError(f"the journal {path} could not be opened: {error}.") from error
            stack.pop_all()
        return cls(path, connection)

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, kind: str, data: dict[str, Any], *, say: str = "", answer: str = "") -> Event:
        """The event is on the disk, with `say` and `answer` in the full-text search.

        Returns:
          The event as it will be read back: tuples in `data` are lists, keys are strings.

        Raises:
          ValueError: `data` is not JSON (or not finite), or the disk refuses; nothing is changed.
        """
        text = encode_data(kind, data)
        with self._transaction():
            number = self._connection.execute("SELECT max(id) FROM events").fetchone()[0] or 0
            row = (number + 1, utc_now(), kind, text)
            self._insert(row, say, answer)
        write_head(self._head, row[0])
        return Event(row[0], row[1], kind, json.loads(text))

    def adopt(self, events: Iterable[tuple[Event, str]]) -> None:
        """The events, each with its checksum, are in this empty journal, as they were in theirs.

        Raises:
          ValueError: a checksum does not fit, numbers are missing, or the disk refuses.
        """
        with self._transaction():
            for number, (event, checksum) in enumerate(events, start=1):
                row = (event.id, event.time, event.kind, encode_data(event.kind, event.data))
                if event.id != number or row_checksum(row) != checksum:
                    raise ValueError(f"event {number} has changed; take another copy.")
                self._insert(row, event.data.get("say", ""), event.data.get("answer", ""))

    def copy(self, path: Path) -> None:
        """A new journal at `path` has the same events; it knows no checkpoint."""
        with Journal.create(path) as copy:
            copy.adopt((event, event_checksum(event)) for event in self.events())

    def events(
        self, after: int = 0, kinds: Collection[str] | None = None, until: int | None = None
    ) -> Iterator[Event]:
        """The events with `after` < id <= `until`, ascending; of the given kinds only.

        Events appended during the iteration are not among them.

        Raises:
          ValueError: an event does not have the checksum it was written with.
        """
        newest = self._read("SELECT max(id) FROM events")[0][0] or 0
        until = newest if until is None else min(until, newest)
        names = [] if kinds is None else sorted(kinds)
        chosen = "" if kinds is None else f"AND kind IN ({','.join('?' * len(names))})"
        query = f"SELECT * FROM events WHERE id > ? AND id <= ? {chosen} ORDER BY id LIMIT {_PAGE}"
        # Page by page, so that no read transaction stays open under the caller's writes.
        while rows := self._read(query, (after, until, *names)):
            yield from map(self._event, rows)
            after = rows[-1][0]

    def event(self, id: int) -> Event:
        """The event of that number; ValueError when there is none."""
        rows = self._read("SELECT * FROM events WHERE id = ?", (id,))
        if not rows:
            raise ValueError(f"the journal {self._path} has no event {id}; choose one that it has.")
        return self._event(rows[0])

    def last(self) -> Event | None:
        """The newest event, or None in an empty journal."""
        rows = self._read("SELECT * FROM events ORDER BY id DESC LIMIT 1")
        return self._event(rows[0]) if rows else None

    def lost(self) -> int:
        """How many of the newest events were acknowledged and are not there any more."""
        last = self.last()
        return max(0, read_head(self._head) - (last.id if last else 0))

    def count(self, kind: str) -> int:
        """How many events of that kind there are."""
        return self._read("SELECT count(*) FROM events WHERE kind = ?", (kind,))[0][0]

    def index(self) -> list[tuple[int, str]]:
        """(id, kind) of every event, ascending, without reading what they hold."""
        return self._read("SELECT id, kind FROM events ORDER BY id")

    def record_checkpoint(self, event: int, digest: str, manifest: dict[str, Any]) -> None:
        """The checkpoint of `event` is known.

        Raises:
          ValueError: no such event, a checkpoint known already, or the disk refuses.
        """
        row = (event, digest, encode_data("checkpoint", manifest), utc_now())
        with self._transaction():
            self._connection.execute("INSERT INTO checkpoints VALUES (?,?,?,?)", row)

    def drop_checkpoint(self, event: int) -> None:
        """No checkpoint of `event` is known."""
        with self._transaction():
            self._connection.execute("DELETE FROM checkpoints WHERE event = ?", (event,))

    def checkpoints(self) -> list[CheckpointRow]:
        """The known checkpoints, newest first."""
        rows = self._read("SELECT * FROM checkpoints ORDER BY event DESC")
        try:
            return [CheckpointRow(row[0], row[1], json.loads(row[2]), row[3]) for row in rows]
        except ValueError as error:
            raise ValueError(_unreadable_sentence(self._path, error)) from error

    def search(self, query: str, limit: int = 10, *, any_word: bool = False) -> list[Hit]:
        """Talk that has every word of `query`, best match first; no character has a meaning.

        With `any_word`, talk that has some of them: the nearest in words, by BM25.
        """
        wanted = _match(query, any_word)
        if not wanted:
            return []
        rows = self._read(
            "SELECT event, say, answer FROM talk WHERE talk MATCH ? ORDER BY rank, event DESC "
            "LIMIT ?",
            (wanted, limit),
        )
        return [Hit(*row) for row in rows]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except _ERRORS as error:
                raise ValueError(
                    f"the journal {self._path} could not be written: {error}; nothing was "
                    "changed; free space on the disk and try again."
                ) from error
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _insert(self, row: tuple[int, str, str, str], say: str, answer: str) -> None:
        add = self._connection.execute
        add("INSERT INTO events VALUES (?,?,?,?,?)", (*row, row_checksum(row)))
        if say or answer:
            talk = (searchable(say), searchable(answer), row[0])
            add("INSERT INTO talk VALUES (?,?,?)", talk)

    def _read(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._connection.execute(query, values).fetchall()
            except _ERRORS as error:
                raise ValueError(_unreadable_sentence(self._path, error)) from error

    def _event(self, row: tuple[Any, ...]) -> Event:
        if row_checksum(row[:4]) != row[4]:
            raise ValueError(_unreadable_sentence(self._path, f"event {row[0]} has changed"))
        return Event(row[0], row[1], row[2], json.loads(row[3]))


def nearest_texts(texts: Sequence[str], query: str, limit: int) -> list[int]:
    """Places of the texts that share words with `query`, the nearest by BM25 first."""
    wanted = _match(query, any_word=True)
    if not wanted:
        return []
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE texts USING fts5 (text)")
        rows = ((number, searchable(text)) for number, text in enumerate(texts, start=1))
        connection.executemany("INSERT INTO texts (rowid, text) VALUES (?,?)", rows)
        found = connection.execute(
            "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rank, rowid LIMIT ?",
            (wanted, limit),
        )
        return [number - 1 for (number,) in found]


def _match(query: str, any_word: bool) -> str:
    words = ['"' + word.replace('"', '""') + '"' for word in searchable(query).split()]
    return (" OR " if any_word else " ").join(dict.fromkeys(words))


def _connect(path: Path, options: str) -> sqlite3.Connection:
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


def _connect_writer(path: Path) -> sqlite3.Connection:
    # A copied folder may have lost its permissions; SQLite gives -wal and -shm those of the file.
    with contextlib.suppress(PermissionError):
        path.chmod(0o600)
    return _connect(path, "mode=rw")


def _connect_reader(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path, "mode=ro")
    except sqlite3.OperationalError:
        # A folder that forbids writing has no room for the index of the WAL. Without a WAL there is
        # nothing to index; with one, `immutable` would hide the newest events.
        wal = path.with_name(f"{path.name}-wal")
        if wal.exists() and wal.stat().st_size:
            raise
        return _connect(path, "mode=ro&immutable=1")


def _require_ours(path: Path, connection: sqlite3.Connection) -> None:
    def value(query: str) -> Any:
        return connection.execute(query).fetchone()[0]

    if value("PRAGMA application_id") != APPLICATION_ID:
        raise ValueError(f"{path} is not a journal of this program; check --workdir.")
    if (found := value("PRAGMA user_version")) != FORMAT:
        other = "a newer version" if found > FORMAT else "the version that made it"
        raise ValueError(
            f"the journal {path} has format {found}, this program reads {FORMAT}; install {other}."
        )
    if (result := value("PRAGMA quick_check(1)")) != "ok":
        raise ValueError(_unreadable_sentence(path, result))
    if (newest := value("SELECT max(id) FROM events") or 0) != value("SELECT count(*) FROM events"):
        raise ValueError(_unreadable_sentence(path, f"events up to {newest} are missing"))
    for row in connection.execute("SELECT * FROM events ORDER BY id"):
        if row_checksum(row[:4]) != row[4]:
            raise ValueError(_unreadable_sentence(path, f"event {row[0]} has changed"))


def _unreadable_sentence(path: Path, reason: object) -> str:
    what = " ".join(str(reason).split())
    return f"the journal {path} is damaged or unreadable: {what}; restore it from a copy."
