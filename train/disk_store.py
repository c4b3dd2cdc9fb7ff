"""States that live on the disk: the generations of one model folder.

A generation is a checkpoint in the making: training writes into one that is none yet, so that the
last checkpoint stays whole, and `commit` makes it the next.
"""

import contextlib
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from jax.typing import DTypeLike

from model.transformer import compute_copy
from train.durable import fsync_folder
from train.generation import Generation
from train.lanes import Lanes
from train.manifest import damage_sentence, read_manifest, seal_body
from train.record_file import RECORDS, RecordFile, open_records
from train.record_layout import layout, places_of, records_digest
from train.records import CheckpointRow
from train.residency import Residency, require_disk
from train.state import TrainState

# A generation that is no checkpoint yet; `clean_checkpoints` removes what a kill leaves of it.
WORKING = "0.saving.working"


class Disk:
    """The generations below one folder of checkpoints, and the thread that moves their bytes.

    Args:
      folder: of the checkpoints.
      dtype: what products round their inputs to.
      memory: bytes that the process may take; None keeps as little in memory as can be.
      writes: whether checkpoints may be made here; otherwise new generations have no name.
    """

    def __init__(self, folder: Path, dtype: DTypeLike, memory: int | None, *, writes: bool) -> None:
        self.folder, self.dtype, self.memory, self.writes = folder, dtype, memory, writes
        # One thread: a disk is no faster for two, and what is written is read in that order.
        self.io = ThreadPoolExecutor(1, "disk")
        self.lanes = Lanes()
        self.condemned: set[int | None] = set()

    def close(self) -> None:
        """The threads have ended."""
        self.io.shutdown()
        self.lanes.close()

    def residency(self, abstract: TrainState) -> Residency:
        """What of such a state stays in memory."""
        if self.memory is None:
            return Residency(False, frozenset())
        return Residency.within(self.memory, abstract, self.dtype)

    def copy_of(self, name: str, params: Any) -> Any:
        """The weights of a part as the forward pass reads them: others whole, layers rounded.

        The copy of a layer has memory of its own, also where there is nothing to round.
        """
        return compute_copy(params, self.dtype) if name.startswith("blocks/") else params

    def create(self, abstract: TrainState, source: Generation | None = None) -> Generation:
        """A new generation without content, that comes after `source`.

        Raises:
          ValueError: not enough disk; nothing was written.
        """
        places, size = layout(abstract)
        base = None if source is None else source.base if source.event is None else source.event
        descriptor = self._working(size, base) if self.writes else self._unnamed(size)
        name = str(self.folder / WORKING) if self.writes else "a state that is made aside"
        generation = Generation(self, RecordFile(descriptor, name, places, {}), abstract)
        generation.base = base
        if source is None or source.abstract != abstract:
            # Other shapes.
            self.lanes.forget()
        return generation

    def may_have(self, row: CheckpointRow) -> bool:
        """Whether a checkpoint may still be there and whole, as far as was seen until now."""
        if not is_generation(row):
            return True
        return row.event not in self.condemned and (self.folder / str(row.event)).is_dir()

    def open(self, event: int, digest: str, abstract: TrainState) -> Generation:
        """The generation that is the checkpoint of an event, with this digest.

        Raises:
          ValueError: it is missing, another one, or its manifest is damaged.
        """
        where = self.folder / str(event)
        manifest = read_manifest(where)
        places, checksums = places_of(manifest["leaves"])
        if manifest["digest"] != digest or places != layout(abstract)[0]:
            raise ValueError(damage_sentence(where, "it is not the one that was saved"))
        try:
            descriptor = open_records(where / RECORDS, os.O_RDONLY)
        except OSError as error:
            raise ValueError(damage_sentence(where, str(error.strerror))) from error
        generation = Generation(
            self, RecordFile(descriptor, str(where), places, checksums), abstract
        )
        generation.event = event
        return generation

    def commit(
        self, generation: Generation, event: int, metadata: dict[str, Any]
    ) -> tuple[str, dict[str, Any]]:
        """The generation is the checkpoint of `event`, durably; returns its digest and manifest."""
        generation.flush()
        leaves = generation.records.describe()
        body = {"event": event, "digest": records_digest(leaves), "leaves": leaves}
        working, target = self.folder / WORKING, self.folder / str(event)
        manifest = seal_body(working, {**body, "kind": "generation", "metadata": metadata})
        working.rename(target)
        fsync_folder(self.folder)
        generation.event, generation.records.name = event, str(target)
        self.condemned.discard(event)
        return manifest["digest"], manifest

    def _unnamed(self, size: int) -> int:
        """A file without a name: whatever ends this program, nothing is left of it."""
        writable = self.folder.is_dir() and os.access(self.folder, os.W_OK)
        folder = self.folder if writable else Path(tempfile.gettempdir())
        require_disk(folder, size, 0)
        descriptor, name = tempfile.mkstemp(dir=folder)
        os.close(descriptor)
        descriptor = open_records(name, os.O_RDWR)
        Path(name).unlink()
        return _allocated(descriptor, size, name)

    def _working(self, size: int, kept: int | None) -> int:
        """The file of the next checkpoint; the generation before the last one gives its place."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        working = self.folder / WORKING
        shutil.rmtree(working, ignore_errors=True)
        older = [path.parent for path in self.folder.glob(f"*/{RECORDS}")]
        older = [path for path in older if path.name != str(kept)]
        freed = sum((path / RECORDS).stat().st_size for path in older)
        # The first one needs room for a second: a step never writes over the last checkpoint.
        require_disk(self.folder, size if older or kept is not None else 2 * size, freed)
        for path in older:
            with contextlib.suppress(OSError):
                path.rename(working)
                shutil.rmtree(working)
        working.mkdir(mode=0o700)
        descriptor = open_records(working / RECORDS, os.O_RDWR | os.O_CREAT)
        return _allocated(descriptor, size, str(working))


def is_generation(row: CheckpointRow) -> bool:
    """Whether a checkpoint is a generation of a state on the disk."""
    return row.manifest.get("kind") == "generation"


def _allocated(descriptor: int, size: int, name: str) -> int:
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        os.close(descriptor)
        raise ValueError(
            f"the state in {name} needs {size} bytes of disk: {error.strerror}; free space and try "
            "again."
        ) from error
    return descriptor
