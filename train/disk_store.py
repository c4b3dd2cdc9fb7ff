"""States that live on the disk: the generations of one model folder.

A generation is a checkpoint in the making: training writes into one that is none yet, so that the
last checkpoint stays whole, and `commit` makes it the next. The tree of a state on the disk has a
`DiskArray` for every leaf; a part is read when it is asked for.
"""

import contextlib
import os
import shutil
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.typing import DTypeLike

from model.transformer import compute_copy
from train.durable import fsync_folder
from train.flat_tree import flatten_tree
from train.manifest import damage_sentence, read_manifest, seal_body
from train.record_file import (
    RECORDS,
    Buffer,
    DamagedRecordError,
    Place,
    RecordFile,
    layout,
    map_paths,
    open_records,
    part_names,
    part_of,
    places_of,
    records_digest,
)
from train.records import CheckpointRow
from train.residency import Residency, require_disk
from train.state import TrainState

# A generation that is no checkpoint yet; `clean_checkpoints` removes what a kill leaves of it.
WORKING = "0.saving.working"


class DiskArray:
    """An array of a generation, read when NumPy asks for it; gone once a step has used it up."""

    def __init__(self, generation: "Generation", path: str, place: Place) -> None:
        self._generation, self._version, self._path = generation, generation.version, path
        self.shape, self.dtype, self.nbytes = place.shape, place.dtype, place.nbytes
        self.ndim, self.size = len(place.shape), place.nbytes // place.dtype.itemsize

    @property
    def generation(self) -> "Generation":
        assert self._version == self._generation.version, "a step has used up this state"
        return self._generation

    def load(self) -> jax.Array:
        """The array in memory, proved undamaged."""
        return self.generation.load(self._path)

    def delete(self) -> None:
        """Nothing: it takes no memory."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        del copy
        return np.asarray(self.load(), dtype)


class Generation:
    """One state in one file, and what of it is kept in memory.

    `event` is that of its checkpoint, None as long as it is none. `held` has the parts that stay in
    memory, `dirty` those of them that the file does not have yet, `copies` what the forward pass
    needs of each part. `base` is the checkpoint that it began from. `frozen` keeps the next step
    from writing into it.
    """

    def __init__(self, disk: "Disk", records: RecordFile, abstract: TrainState) -> None:
        self.disk, self.records, self.abstract = disk, records, abstract
        self.names = part_names(abstract.params)
        self.version = 0
        self.event: int | None = None
        self.base: int | None = None
        self.frozen = False
        self.held: dict[str, tuple[Any, Any]] = {}
        self.dirty: set[str] = set()
        self.copies: dict[str, Any] = {}
        self.residency = disk.residency(abstract)

    def tree(self) -> TrainState:
        """The state with a `DiskArray` for every leaf."""
        places = self.records.places
        return map_paths(lambda path, _: DiskArray(self, path, places[path]), self.abstract)

    def load(self, path: str) -> jax.Array:
        """One array, wherever it is."""
        for name in self.held:
            for field, tree in zip(TrainState._fields, self.held[name], strict=True):
                if path.startswith(f"{field}/{name}/"):
                    return flatten_tree(tree)[path.removeprefix(f"{field}/{name}/")]
        return self.disk.io.submit(self._load, path).result()

    def read(self, name: str, field: str) -> Any:
        """The weights or the moments of a part; for the disk's own thread."""
        part = part_of(getattr(self.abstract, field), name)
        return map_paths(lambda path, _: self._load(f"{field}/{name}/{path}"), part)

    def write(self, name: str, part: tuple[Any, Any]) -> None:
        """A part is in the file; for the disk's own thread."""
        for field, tree in zip(TrainState._fields, part, strict=True):
            for path, leaf in flatten_tree(tree).items():
                self.records.write(f"{field}/{name}/{path}", leaf, self.disk.buffer)

    def take(self, name: str) -> Future[tuple[Any, Any]]:
        """Weights and moments of a part, to be used up."""
        if name in self.held:
            return _done(self.held.pop(name))
        return self.disk.io.submit(
            lambda: (self.read(name, "params"), self.read(name, "opt_state"))
        )

    def put(self, name: str, part: tuple[Any, Any]) -> Future[None]:
        """The part as it is from now on: held, or on its way to the file."""
        if name in self.residency.held:
            self.held[name] = part
            self.dirty.add(name)
            return _done(None)
        self.keep_copy(name, part[0])
        return self.disk.io.submit(self.write, name, part)

    def forward(self, name: str) -> Future[Any]:
        """What the forward pass needs of a part: a layer's compute copy, or what is held."""
        if name in self.held:
            return _done(self.held[name][0])
        if name in self.copies:
            return _done(self.copies[name])
        return self.disk.io.submit(lambda: self.keep_copy(name, self.read(name, "params")))

    def keep_copy(self, name: str, params: Any) -> Any:
        """What the forward pass needs; it stays in memory if there is room."""
        copy = self.disk.copy_of(name, params)
        if self.residency.copies:
            self.copies[name] = copy
        return copy

    def flush(self) -> None:
        """All parts are on the disk."""
        for name in sorted(self.dirty):
            self.disk.io.submit(self.write, name, self.held[name]).result()
        self.dirty.clear()
        self.disk.io.submit(self.records.sync).result()

    def check(self) -> None:
        """Nothing; DamagedRecordError names the first damaged array."""
        for path in self.records.places:
            self.disk.io.submit(self._load, path).result()

    def _load(self, path: str) -> jax.Array:
        try:
            return self.records.read(path, self.disk.buffer)
        except DamagedRecordError:
            self.disk.condemned.add(self.event)
            raise


class Disk:
    """The generations below one folder of checkpoints, and the one thread that moves their bytes.

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
        self.buffer = Buffer()
        self.condemned: set[int | None] = set()

    def close(self) -> None:
        """The thread has ended."""
        self.io.shutdown()

    def residency(self, abstract: TrainState) -> Residency:
        """What of such a state stays in memory."""
        if self.memory is None:
            return Residency(False, frozenset())
        return Residency.within(self.memory, abstract, self.dtype)

    def copy_of(self, name: str, params: Any) -> Any:
        """The weights of a part as the forward pass reads them: layers rounded, others whole."""
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


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future
