"""Rows of the journal as frozen values, and their text form."""

import dataclasses
import datetime
import hashlib
import json
from typing import Any


@dataclasses.dataclass(frozen=True)
class Event:
    """One row: `id` counts from 1 without gaps, `time` is UTC in ISO 8601, `data` is JSON."""

    id: int
    time: str
    kind: str
    data: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class CheckpointRow:
    """A checkpoint that was saved after `event`, with its digest and manifest."""

    event: int
    digest: str
    manifest: dict[str, Any]
    time: str


@dataclasses.dataclass(frozen=True)
class Hit:
    """A piece of talk that a search found."""

    event: int
    say: str
    answer: str


def encode_data(kind: str, data: dict[str, Any]) -> str:
    """`data` as JSON; every float comes back with the same bits.

    Raises:
      ValueError: a value is not JSON, or not finite.
    """
    try:
        return json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the data of a {kind!r} event must be JSON with finite numbers, got: {error}; "
            "correct the value."
        ) from error


def row_checksum(row: tuple[Any, ...]) -> str:
    """The SHA-256 of (id, time, kind, data) as the journal keeps it beside them."""
    text = "\n".join(map(str, row))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def event_checksum(event: Event) -> str:
    """The checksum that an event was written with."""
    return row_checksum((event.id, event.time, event.kind, encode_data(event.kind, event.data)))


def searchable(text: str) -> str:
    """`text` as SQLite can hold it: no NUL, no lone surrogates."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()


def utc_now() -> str:
    """The time in UTC, ISO 8601 with milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
