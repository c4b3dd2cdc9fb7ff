"""One state on the disk, and what of it is kept in memory."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from train.flat_tree import flatten_tree
from train.record_file import DamagedRecordError, RecordFile
from train.record_layout import Place, map_paths, part_names, part_of
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
        return self._reading([path])()[path]

    def take(self, name: str) -> Callable[[], tuple[Any, Any]]:
        """Begins to read a part; what it gives waits for its weights and moments, to be used up."""
        if name in self.held:
            part = self.held.pop(name)
            return lambda: part
        return self._read(name, TrainState._fields)

    def put(self, name: str, part: tuple[Any, Any], *, used_up: bool = False) -> Future[None]:
        """The part as it is from now on: held, or on its way to the file.

        Args:
          used_up: whether nobody else has its arrays, so that their memory can be used again.
        """
        if name in self.residency.held:
            self.held[name] = part
            self.dirty.add(name)
            return _done(None)
        if self.residency.copies:
            self.keep_copy(name, part[0])
        return self._write(name, part, used_up=used_up and name.startswith("blocks/"))

    def forward(self, name: str) -> Callable[[], Any]:
        """Like `take`, for what the forward pass needs: a layer's compute copy, or what is held."""
        if name in self.held:
            params = self.held[name][0]
            return lambda: params
        if name in self.copies:
            copy = self.copies[name]
            return lambda: copy
        reading = self._read(name, TrainState._fields[:1])

        def copied() -> Any:
            (params,) = reading()
            copy = self.keep_copy(name, params)
            if copy is not params:
                for leaf in jax.tree.leaves(params):
                    self.disk.lanes.give_back(leaf)
            return copy

        return copied

    def keep_copy(self, name: str, params: Any) -> Any:
        """What the forward pass needs; it stays in memory if there is room."""
        copy = self.disk.copy_of(name, params)
        if self.residency.copies:
            self.copies[name] = copy
        return copy

    def flush(self) -> None:
        """All parts are on the disk."""
        for name in sorted(self.dirty):
            self._write(name, self.held[name]).result()
        self.dirty.clear()
        self.disk.io.submit(self.records.sync).result()

    def check(self) -> None:
        """Nothing; DamagedRecordError names the first damaged array."""
        with self._condemning():
            paths = list(self.records.places)
            self.disk.io.submit(self.records.check, paths, self.disk.lanes).result()

    def _read(self, name: str, fields: Sequence[str]) -> Callable[[], tuple[Any, ...]]:
        parts = {field: part_of(getattr(self.abstract, field), name) for field in fields}
        reading = self._reading(
            [f"{field}/{name}/{path}" for field in fields for path in flatten_tree(parts[field])]
        )

        def read() -> tuple[Any, ...]:
            found = reading()
            return tuple(
                map_paths(lambda path, _, field=field: found[f"{field}/{name}/{path}"], part)
                for field, part in parts.items()
            )

        return read

    def _reading(self, paths: list[str]) -> Callable[[], dict[str, jax.Array]]:
        jobs = self.disk.io.submit(self.records.read, paths, self.disk.lanes)

        def wait() -> dict[str, jax.Array]:
            with self._condemning():
                arrays = [array for job in jobs.result() for array in job.result()]
            return dict(zip(paths, arrays, strict=True))

        return wait

    def _write(self, name: str, part: tuple[Any, Any], *, used_up: bool = False) -> Future[None]:
        arrays = {
            f"{field}/{name}/{path}": leaf
            for field, tree in zip(TrainState._fields, part, strict=True)
            for path, leaf in flatten_tree(tree).items()
        }
        packed = self.records.pack(arrays, self.disk.lanes, used_up=used_up)
        return self.disk.io.submit(self.records.write, packed, self.disk.lanes)

    @contextlib.contextmanager
    def _condemning(self) -> Iterator[None]:
        try:
            yield
        except DamagedRecordError:
            self.disk.condemned.add(self.event)
            raise


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future
