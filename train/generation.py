"""One state on the disk, and what of it is kept in memory."""

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from train.flat_tree import flatten_tree
from train.record_file import (
    DamagedRecordError,
    Place,
    RecordFile,
    map_paths,
    part_names,
    part_of,
)
from train.state import TrainState

if TYPE_CHECKING:
    from train.disk_store import Disk


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
        return self.disk.io.submit(self._load, [path]).result()[0]

    def read(self, name: str, field: str) -> Any:
        """The weights or the moments of a part; for the disk's own thread."""
        part = part_of(getattr(self.abstract, field), name)
        paths = list(flatten_tree(part))
        arrays = self._load([f"{field}/{name}/{path}" for path in paths])
        found = dict(zip(paths, arrays, strict=True))
        return map_paths(lambda path, _: found[path], part)

    def write(self, name: str, part: tuple[Any, Any]) -> None:
        """A part is in the file; for the disk's own thread."""
        arrays = {
            f"{field}/{name}/{path}": leaf
            for field, tree in zip(TrainState._fields, part, strict=True)
            for path, leaf in flatten_tree(tree).items()
        }
        self.records.write(arrays, self.disk.lanes)

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
        for name in self.names:
            for field in TrainState._fields:
                self.disk.io.submit(self.read, name, field).result()

    def _load(self, paths: list[str]) -> list[jax.Array]:
        try:
            return self.records.read(paths, self.disk.lanes)
        except DamagedRecordError:
            self.disk.condemned.add(self.event)
            raise


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future
