"""One whole state in one file: a record for every part, a checksum for every array.

A record is a part's weights and moments, contiguous, every array on a page of its own, so that it
is read and written without the page cache (O_DIRECT).
"""

import errno
import hashlib
import json
import mmap
import os
import zlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from train.flat_tree import flatten_tree, path_string, signature
from train.state import TrainState

RECORDS = "records"
_O_DIRECT = getattr(os, "O_DIRECT", 0)


class DamagedRecordError(ValueError):
    """What a generation holds is not what was written into it."""


class Place(NamedTuple):
    """Where an array lies in the file; `offset` is a multiple of the page size."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


def pages(n_bytes: int) -> int:
    """Bytes rounded up to whole pages."""
    return -(-n_bytes // mmap.PAGESIZE) * mmap.PAGESIZE


def part_names(params: dict[str, Any]) -> list[str]:
    """The parts of a model in the order of their records: 'embed', 'blocks/0', …, 'norm_out'."""
    names = []
    for name in ("embed", "blocks", "norm_out", "head"):
        if name == "blocks":
            names += [f"blocks/{layer}" for layer in range(len(params["blocks"]))]
        elif name in params:
            names.append(name)
    return names


def part_of(tree: dict[str, Any], name: str) -> Any:
    """The part of that name of parameters or optimizer state."""
    head, _, layer = name.partition("/")
    return tree[head][int(layer)] if layer else tree[head]


def layout(abstract: TrainState) -> tuple[dict[str, Place], int]:
    """{path: place} of every array in the order of the file, and the file's bytes."""
    places, offset = {}, 0
    for name in part_names(abstract.params):
        for field in TrainState._fields:
            part = part_of(getattr(abstract, field), name)
            for path, leaf in flatten_tree(part).items():
                place = Place(offset, tuple(leaf.shape), np.dtype(leaf.dtype))
                places[f"{field}/{name}/{path}"] = place
                offset += pages(place.nbytes)
    return places, offset


class Lanes:
    """Two page-aligned buffers that are used again, and a thread that fills and empties them.

    One array is checked and copied there while another one is moved to or from the disk.
    """

    def __init__(self) -> None:
        self.helper = ThreadPoolExecutor(1, "disk-copy")
        self._memory = [mmap.mmap(-1, mmap.PAGESIZE) for _ in range(2)]

    def view(self, number: int, n_bytes: int) -> memoryview:
        """So many bytes of a buffer, of the first for even numbers; it grows when it has to."""
        lane = number % 2
        if len(self._memory[lane]) < n_bytes:
            self._memory[lane] = mmap.mmap(-1, n_bytes)
        return memoryview(self._memory[lane])[:n_bytes]

    def close(self) -> None:
        """The thread has ended."""
        self.helper.shutdown()


class RecordFile:
    """An open file of arrays by path, with the checksum of each that was written or is expected."""

    def __init__(
        self, descriptor: int, name: str, places: dict[str, Place], checksums: dict[str, int]
    ) -> None:
        self.name, self.places, self.checksums = name, places, checksums
        self._descriptor = descriptor

    def __del__(self) -> None:
        os.close(self._descriptor)

    def read(self, paths: Sequence[str], lanes: Lanes) -> list[jax.Array]:
        """The arrays, proved undamaged, in memory of their own.

        Raises:
          DamagedRecordError: other bytes than were written.
        """
        jobs: list[Future[jax.Array]] = []
        for number, path in enumerate(paths):
            if number >= 2:
                # Its buffer is wanted again.
                jobs[number - 2].result()
            place = self.places[path]
            memory = lanes.view(number, pages(place.nbytes))
            try:
                _whole(os.preadv, self._descriptor, memory, place.offset)
            except OSError as error:
                raise DamagedRecordError(self._damage(path, str(error.strerror))) from error
            jobs.append(lanes.helper.submit(self._unpacked, path, memory))
        return [job.result() for job in jobs]

    def write(self, arrays: dict[str, Any], lanes: Lanes) -> None:
        """The arrays are in the file once it is synced."""
        paths = list(arrays)
        ahead = lanes.helper.submit(self._packed, paths[0], arrays[paths[0]], lanes, 0)
        for number, path in enumerate(paths):
            memory = ahead.result()
            if number + 1 < len(paths):
                later = paths[number + 1]
                ahead = lanes.helper.submit(self._packed, later, arrays[later], lanes, number + 1)
            try:
                _whole(os.pwritev, self._descriptor, memory, self.places[path].offset)
            except OSError as error:
                raise ValueError(
                    f"the state in {self.name} could not be written: {error.strerror}; free space "
                    "on the disk and try again."
                ) from error

    def _unpacked(self, path: str, memory: memoryview) -> jax.Array:
        place = self.places[path]
        if zlib.crc32(memory[: place.nbytes]) != self.checksums[path]:
            raise DamagedRecordError(self._damage(path, "its checksum does not fit"))
        flat = np.frombuffer(memory, place.dtype, place.nbytes // place.dtype.itemsize)
        # `asarray` copies five times as fast as `array`, but need not copy.
        array = jax.block_until_ready(jnp.asarray(flat.reshape(place.shape)))
        if array.size and array.unsafe_buffer_pointer() == flat.ctypes.data:
            array = jax.block_until_ready(jnp.array(flat.reshape(place.shape)))
        return array

    def _packed(self, path: str, array: Any, lanes: Lanes, number: int) -> memoryview:
        place = self.places[path]
        assert array.shape == place.shape and array.dtype == place.dtype, path
        data = np.ascontiguousarray(np.asarray(array)).reshape(-1).view(np.uint8)
        memory = lanes.view(number, pages(place.nbytes))
        np.frombuffer(memory, np.uint8, place.nbytes)[:] = data
        self.checksums[path] = zlib.crc32(data)
        return memory

    def sync(self) -> None:
        """What was written is on the disk."""
        os.fsync(self._descriptor)

    def describe(self) -> dict[str, Any]:
        """Offset, shape, dtype and checksum of every array as JSON values."""
        return {
            path: {"offset": place.offset, **signature(place), "crc32": self.checksums[path]}
            for path, place in self.places.items()
        }

    def _damage(self, path: str, what: str) -> str:
        return f"the checkpoint {self.name} is damaged at {path}: {what}; use an older checkpoint."


def open_records(path: os.PathLike[str] | str, flags: int) -> int:
    """A descriptor of the file, past the page cache where the file system allows."""
    try:
        return os.open(path, flags | _O_DIRECT, 0o600)
    except OSError:
        if not _O_DIRECT:
            raise
        return os.open(path, flags, 0o600)


def places_of(leaves: dict[str, Any]) -> tuple[dict[str, Place], dict[str, int]]:
    """Places and checksums by path, as `RecordFile.describe` wrote them."""
    places = {
        path: Place(leaf["offset"], tuple(leaf["shape"]), np.dtype(leaf["dtype"]))
        for path, leaf in leaves.items()
    }
    return places, {path: leaf["crc32"] for path, leaf in leaves.items()}


def records_digest(leaves: dict[str, Any]) -> str:
    """The SHA-256 over path, dtype, shape and CRC-32 of every array, in the order of the paths."""
    total = hashlib.sha256()
    for path, leaf in sorted(leaves.items()):
        header = [path, leaf["dtype"], list(leaf["shape"]), leaf["crc32"]]
        total.update(json.dumps(header).encode())
    return total.hexdigest()


def tree_records_digest(tree: Any) -> str:
    """What `records_digest` would be of a tree."""
    leaves = {}
    for path, leaf in flatten_tree(tree).items():
        data = np.ascontiguousarray(np.asarray(leaf)).reshape(-1).view(np.uint8)
        leaves[path] = {**signature(leaf), "crc32": zlib.crc32(data)}
    return records_digest(leaves)


def _whole(transfer: Any, descriptor: int, memory: memoryview, offset: int) -> None:
    """Reads or writes until all is done; a short file counts as an error."""
    done = 0
    while done < len(memory):
        count = transfer(descriptor, [memory[done:]], offset + done)
        if not count:
            raise OSError(errno.EIO, "the file is too short")
        done += count


def map_paths(change: Any, tree: Any) -> Any:
    """The tree with every leaf replaced by `change(path, leaf)`, a path as in `flatten_tree`."""
    return jax.tree.map_with_path(lambda path, leaf: change(path_string(path), leaf), tree)
