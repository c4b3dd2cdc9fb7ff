"""What this machine can do: a measurement of some seconds, for plans."""

import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from train.checkpoint import save_checkpoint
from train.lanes import Lanes
from train.record_file import RECORDS, RecordFile, open_records
from train.record_layout import Place

# Sides of the matrices and bytes of the arrays and the file that are used for measuring.
ROWS, INNER, OUTER = 1536, 1024, 4096
# As in a 10m model: less of the time goes into multiplying.
SMALL_INNER, SMALL_OUTER = 320, 896
NARROW_ROWS = 5
MEMORY_BYTES, DISK_BYTES, SAVED_BYTES = 2**28, 2**29, 2**27
SAVED_ARRAYS = 128
SAVES = 3
# Of an array in the measured file, as in a large model's layers.
ARRAY_BYTES = 2**24
SECONDS_EACH = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """Rates, medians over some seconds: operations or bytes per second.

    `product_flops` is of large matrix products with inputs of the measured dtype, `small_flops` of
    those of a narrow model, `narrow_bytes`
    how fast products with few rows go through matrices, `moved_bytes` memory read and written,
    `disk_read_bytes` and `disk_write_bytes` of a state on the disk, as it is moved there, its
    checksums and fsync included. A checkpoint of a state in memory takes `save_seconds` for every
    array and its bytes by `save_bytes`.
    """

    product_flops: float
    small_flops: float
    narrow_bytes: float
    moved_bytes: float
    disk_read_bytes: float
    disk_write_bytes: float
    save_bytes: float
    save_seconds: float

    def flops_at(self, width: int) -> float:
        """The rate of products whose inner axis is so wide.

        What an operation takes besides multiplying is the less the wider the product: in proportion
        to 1 / width between the two measured ones.
        """
        share = (1 / width - 1 / INNER) / (1 / SMALL_INNER - 1 / INNER)
        large, small = 1 / self.product_flops, 1 / self.small_flops
        return 1 / (large + min(max(share, 0.0), 1.0) * (small - large))


def measure_machine(folder: Path, dtype: DTypeLike) -> Machine:
    """The rates of this machine at this moment, in about ten seconds.

    Args:
      folder: where a file is written for a moment, or its nearest parent that exists.
      dtype: of the inputs of matrix products.

    Raises:
      ValueError: no file can be written there.
    """
    while not folder.exists():
        folder = folder.parent
    # The largest arrays first: XLA's threads let go of them a little after the last result.
    narrow, moved = _narrow_rate(dtype), _memory_rate()
    products = _product_rate(dtype, INNER, OUTER)
    small = _product_rate(dtype, SMALL_INNER, SMALL_OUTER)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".plan") as name:
            written, read = _disk_rates(Path(name))
            save_bytes, save_seconds = _save_rate(Path(name))
    except OSError as error:
        raise ValueError(
            f"the disk of {folder} is measured with a file of {DISK_BYTES // 10**6} MB, which "
            f"could not be written: {error.strerror}; free space, or name another --workdir."
        ) from error
    return Machine(
        product_flops=products,
        small_flops=small,
        narrow_bytes=narrow,
        moved_bytes=moved,
        disk_read_bytes=read,
        disk_write_bytes=written,
        save_bytes=save_bytes,
        save_seconds=save_seconds,
    )


def _rate(amount: float, run: Callable[[], Any]) -> float:
    """Amount per second, the median over about `SECONDS_EACH`; the first run only warms up."""
    jax.block_until_ready(run())
    seconds: list[float] = []
    until = time.perf_counter() + SECONDS_EACH
    while len(seconds) < 3 or time.perf_counter() < until:
        started = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - started)
    return amount / statistics.median(seconds)


def _product_rate(dtype: DTypeLike, inner: int, outer: int) -> float:
    left, right = (jnp.ones(shape, dtype) for shape in ((ROWS, inner), (inner, outer)))
    product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    return _rate(2.0 * ROWS * inner * outer, lambda: product(left, right))


def _narrow_rate(dtype: DTypeLike) -> float:
    """Bytes of matrices per second; together they are larger than any cache."""
    count = MEMORY_BYTES // (INNER * OUTER * jnp.dtype(dtype).itemsize)
    rows = jnp.ones((NARROW_ROWS, INNER), dtype)
    matrices = [jnp.full((INNER, OUTER), number, dtype) for number in range(count)]

    @jax.jit
    def products(rows, matrices):
        return [jnp.matmul(rows, m, preferred_element_type=jnp.float32) for m in matrices]

    total = sum(matrix.nbytes for matrix in matrices)
    return _rate(float(total), lambda: products(rows, matrices))


def _memory_rate() -> float:
    """Bytes read and written by a pass that changes an array in place."""
    values = [jnp.ones(MEMORY_BYTES // 4, jnp.float32)]
    grow = jax.jit(lambda x: x * 1.5, donate_argnums=(0,))

    def run() -> jax.Array:
        values.append(grow(values.pop()))
        return values[0]

    return _rate(2.0 * MEMORY_BYTES, run)


def _disk_rates(folder: Path) -> tuple[float, float]:
    """Bytes per second of writing a state to the disk, fsync included, and of reading it."""
    values = jax.random.normal(jax.random.key(0), (min(ARRAY_BYTES, DISK_BYTES) // 4,))
    names = [str(number) for number in range(max(1, DISK_BYTES // ARRAY_BYTES))]
    places = {
        name: Place(number * values.nbytes, values.shape, np.dtype(values.dtype))
        for number, name in enumerate(names)
    }
    descriptor = open_records(folder / RECORDS, os.O_RDWR | os.O_CREAT)
    records = RecordFile(descriptor, str(folder), places, {})
    total, lanes = len(names) * values.nbytes, Lanes()
    try:
        os.posix_fallocate(descriptor, 0, total)
        started = time.perf_counter()
        records.write(records.pack(dict.fromkeys(names, values), lanes), lanes)
        records.sync()
        written = total / (time.perf_counter() - started)
        started = time.perf_counter()
        records.check(names, lanes)
        return written, total / (time.perf_counter() - started)
    finally:
        lanes.close()


def _save_rate(folder: Path) -> tuple[float, float]:
    """Bytes per second of a checkpoint, and seconds for every array besides."""
    trees = [
        [jax.random.normal(jax.random.key(n), (8, size // count // 32)) for n in range(count)]
        for count, size in ((SAVED_ARRAYS, 2**19), (8, SAVED_BYTES))
    ]
    jax.block_until_ready(trees)
    seconds: list[list[float]] = [[], []]
    # The first one starts what a later one finds running. None is removed before the end, for the
    # system would give its memory to the next one's files, as it seldom can in a life.
    for event, tree in enumerate([trees[0]] + trees * SAVES):
        started = time.perf_counter()
        save_checkpoint(folder, tree, event=event, metadata={})
        if event:
            seconds[(event - 1) % 2].append(time.perf_counter() - started)
    many, large = map(statistics.median, seconds)
    each = many / SAVED_ARRAYS
    return SAVED_BYTES / max(large - 8 * each, 1e-3), each
