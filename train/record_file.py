"""One whole state in one file: a record for every part, a checksum for every array.

A record is a part's weights and moments, contiguous, every array on a page of its own, so that it
is read and written without the page cache (O_DIRECT).
"""

import errno
import os
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import jax
import numpy as np

from train.flat_tree import signature
from train.lanes import Lane, Lanes
from train.record_layout import Place, pages

RECORDS = "records"
# Arrays that lie together are moved together up to so much; a larger array by itself.
RUN_BYTES = 2**24
_O_DIRECT = getattr(os, "O_DIRECT", 0)


Packed = Future[tuple[int, memoryview, Lane]]


class DamagedRecordError(ValueError):
    """What a generation holds is not what was written into it."""


class RecordFile:
    """An open file of arrays by path, with the checksum of each that was written or is expected."""

    def __init__(
        self, descriptor: int, name: str, places: dict[str, Place], checksums: dict[str, int]
    ) -> None:
        self.name, self.places, self.checksums = name, places, checksums
        self._descriptor = descriptor

    def __del__(self) -> None:
        os.close(self._descriptor)

    def read(self, paths: Sequence[str], lanes: Lanes) -> list[Future[list[jax.Array]]]:
        """The arrays, proved undamaged, in memory of their own: what gives them, in this order.

        Raises:
          DamagedRecordError: other bytes than were written; from here or from the futures.
        """
        return self._moved(paths, lanes, lanes.filled)

    def check(self, paths: Sequence[str], lanes: Lanes) -> None:
        """Nothing; DamagedRecordError names the first damaged array."""
        for job in self._moved(paths, lanes, lambda _: None):
            job.result()

    def _moved(
        self, paths: Sequence[str], lanes: Lanes, use: Callable[[np.ndarray], Any]
    ) -> list[Future[Any]]:
        """One array is checked and used while the disk moves another."""
        jobs = []
        for run in self._runs(paths):
            lane = lanes.inward.get()
            try:
                memory = lane.view(self._end(run[-1]) - self.places[run[0]].offset)
                _whole(os.preadv, self._descriptor, memory, self.places[run[0]].offset)
            except OSError as error:
                lanes.inward.put(lane)
                raise DamagedRecordError(self._damage(run[0], str(error.strerror))) from error
            jobs.append(lanes.checker.submit(self._proved, run, memory, lane, lanes, use))
        return jobs

    def _proved(
        self,
        run: list[str],
        memory: memoryview,
        lane: Lane,
        lanes: Lanes,
        use: Callable[[np.ndarray], Any],
    ) -> list[Any]:
        try:
            found = []
            for path in run:
                data = self._bytes_of(path, run, memory)
                if zlib.crc32(data) != self.checksums[path]:
                    raise DamagedRecordError(self._damage(path, "its checksum does not fit"))
                place = self.places[path]
                found.append(use(np.frombuffer(data, place.dtype).reshape(place.shape)))
            return found
        finally:
            lanes.inward.put(lane)

    def pack(self, arrays: dict[str, Any], lanes: Lanes, *, used_up: bool = False) -> list[Packed]:
        """The arrays' bytes, ready to be written one after another; `write` must follow.

        Args:
          used_up: whether nobody else has the arrays, so that their memory is used again.
        """
        return [
            lanes.packer.submit(self._packed, run, arrays, lanes, used_up)
            for run in self._runs(list(arrays))
        ]

    def _packed(
        self, run: list[str], arrays: dict[str, Any], lanes: Lanes, used_up: bool
    ) -> tuple[int, memoryview, Lane]:
        for path in run:
            jax.block_until_ready(arrays[path])
        lane = lanes.outward.get()
        try:
            memory = lane.view(self._end(run[-1]) - self.places[run[0]].offset)
            for path in run:
                array, place = arrays.pop(path), self.places[path]
                assert array.shape == place.shape and array.dtype == place.dtype, path
                data = self._bytes_of(path, run, memory)
                np.frombuffer(data, place.dtype).reshape(place.shape)[...] = np.asarray(array)
                self.checksums[path] = zlib.crc32(data)
                if used_up:
                    lanes.give_back(array)
        except BaseException:
            lanes.outward.put(lane)
            raise
        return self.places[run[0]].offset, memory, lane

    def write(self, packed: Sequence[Packed], lanes: Lanes) -> None:
        """The arrays are in the file once it is synced."""
        failed: Exception | None = None
        for job in packed:
            try:
                offset, memory, lane = job.result()
            except Exception as error:
                failed = failed or error
                continue
            try:
                # Every lane comes back, also after a failure.
                if failed is None:
                    _whole(os.pwritev, self._descriptor, memory, offset)
            except OSError as error:
                failed = error
            finally:
                lanes.outward.put(lane)
        if isinstance(failed, OSError):
            raise ValueError(
                f"the state in {self.name} could not be written: {failed.strerror}; free space "
                "on the disk and try again."
            ) from failed
        if failed is not None:
            raise failed

    def _runs(self, paths: Sequence[str]) -> list[list[str]]:
        """The paths in runs that lie together in the file and are moved at once."""
        runs: list[list[str]] = []
        for path in paths:
            place = self.places[path]
            if (
                runs
                and place.offset == self._end(runs[-1][-1])
                and self._end(path) - self.places[runs[-1][0]].offset <= RUN_BYTES
            ):
                runs[-1].append(path)
            else:
                runs.append([path])
        return runs

    def _end(self, path: str) -> int:
        return self.places[path].offset + pages(self.places[path].nbytes)

    def _bytes_of(self, path: str, run: list[str], memory: memoryview) -> memoryview:
        place = self.places[path]
        start = place.offset - self.places[run[0]].offset
        return memory[start : start + place.nbytes]

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


def _whole(transfer: Any, descriptor: int, memory: memoryview, offset: int) -> None:
    """Reads or writes until all is done; a short file counts as an error."""
    done = 0
    while done < len(memory):
        count = transfer(descriptor, [memory[done:]], offset + done)
        if not count:
            raise OSError(errno.EIO, "the file is too short")
        done += count
