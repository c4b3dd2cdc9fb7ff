"""A whole life lived again from its seed, and compared wherever the first one left a digest."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from train.context_file import present_file
from train.disk_store import is_generation
from train.durable import new_folder, write_file
from train.flat_tree import flatten_tree, tree_digest
from train.life import BIRTH_WEIGHTS, Life, LifeState, open_life
from train.record_layout import tree_records_digest
from train.records import CheckpointRow
from train.replay import apply_event, newborn, training_events
from train.saved import load_state, save, valid_checkpoints


class Compared(NamedTuple):
    """One digest of the first life beside the second one's.

    `largest_difference` is over all weights and moments, 0.0 when equal, None when the first
    life's checkpoint cannot be read any more. `done` and `of` count training events.
    """

    event: int
    sha256: str
    equal: bool
    largest_difference: float | None
    done: int
    of: int


def copy_life(life: Life, into: Path) -> None:
    """A model folder is at `into` with everything of this life but its checkpoints."""
    with new_folder(into) as part:
        life.journal.copy(part / "journal.sqlite")
        names = [life.workdir / name for name in ("tokenizer.model", BIRTH_WEIGHTS)]
        for file in filter(Path.exists, names):
            write_file(part / file.name, file.read_bytes())
        context = present_file(life.context_file, life.journal)
        if context.exists():
            write_file(part / life.context_file.name, context.read_bytes())
        if life.library.folder.is_dir():
            shutil.copytree(life.library.folder, part / "books")


def relive(life: Life, into: Path) -> Iterator[Compared]:
    """The life is at `into`, every step of it made again; yields at every recorded digest.

    Checkpoints of what was undone later are not of this life and are left out. A difference is
    reported, and the replay goes on with its own weights.

    Args:
      life: only read.
      into: missing or empty.
    """
    copy_life(life, into)
    rows = {row.event: row for row in valid_checkpoints(life)}
    with open_life(into, store=life.store) as again:
        state = newborn(again)
        todo = training_events(again)
        stops = sorted(rows)
        for done, event in enumerate(todo):
            while stops and stops[0] < event.id:
                yield _compare(life, rows[stops.pop(0)], state, done, len(todo))
            state = apply_event(again, state, event)
        for stop in stops:
            yield _compare(life, rows[stop], state, len(todo), len(todo))
        last = again.journal.last()
        assert last is not None
        save(again, state._replace(event=last.id))


def largest_difference(one: Any, other: Any) -> float:
    """The largest absolute difference between two trees of one structure."""
    first, second = flatten_tree(one), flatten_tree(other)
    return max(
        float(np.max(np.abs(np.asarray(first[path], np.float64) - np.asarray(leaf, np.float64))))
        for path, leaf in second.items()
    )


def _compare(life: Life, row: CheckpointRow, state: LifeState, done: int, of: int) -> Compared:
    digest = (tree_records_digest if is_generation(row) else tree_digest)(
        jax.block_until_ready(state.train)
    )
    if digest == row.digest:
        return Compared(row.event, digest, True, 0.0, done, of)
    try:
        difference = largest_difference(load_state(life.aside(), row).train, state.train)
    except ValueError:
        difference = None
    return Compared(row.event, digest, False, difference, done, of)
