"""What this machine can do: a measurement of some seconds, for plans."""

import dataclasses
import hashlib
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

# Sides of the matrices and bytes of the arrays and the file that are used for measuring.
ROWS, INNER, OUTER = 1536, 1024, 4096
NARROW_ROWS = 5
MEMORY_BYTES, DISK_BYTES = 2**28, 2**28
HASH_BYTES = 2**26
SECONDS_EACH = 1.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Machine:
    """Rates, medians over some seconds: operations or bytes per second.

    `product_flops` is of large matrix products with inputs of the measured dtype, `narrow_bytes`
    how fast products with few rows go through matrices, `moved_bytes` memory read and written,
    `disk_read_bytes` and `disk_write_bytes` a file past the page cache, fsync included,
    `hash_bytes` SHA-256.
    """

    product_flops: float
    narrow_bytes: float
    moved_bytes: float
    disk_read_bytes: float
    disk_write_bytes: float
    hash_bytes: float


def measure_machine(folder: Path, dtype: DTypeLike) -> Machine:
    """The rates of this machine at this moment, in about ten seconds.

    Args:
      folder: where a file is written for a moment, or its nearest parent that exists.
      dtype: of the inputs of matrix products.

    Raises:
      ValueError: no file can be written there.
    """
    written, read = _disk_rates(folder)
    return Machine(
        product_flops=_product_rate(dtype),
        narrow_bytes=_narrow_rate(dtype),
        moved_bytes=_memory_rate(),
        disk_read_bytes=read,
        disk_write_bytes=written,
        hash_bytes=_hash_rate(),
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


def _product_rate(dtype: DTypeLike) -> float:
    left, right = (jnp.ones(shape, dtype) for shape in ((ROWS, INNER), (INNER, OUTER)))
    product = jax.jit(lambda a, b: jnp.matmul(a, b, preferred_element_type=jnp.float32))
    return _rate(2.0 * ROWS * INNER * OUTER, lambda: product(left, right))


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


def _hash_rate() -> float:
    data = bytes(HASH_BYTES)
    return _rate(float(HASH_BYTES), lambda: hashlib.sha256(data).digest())


def _disk_rates(folder: Path) -> tuple[float, float]:
    """Bytes per second of writing with fsync and of reading, of a file that is gone afterwards."""
    while not folder.exists():
        folder = folder.parent
    noise = np.random.default_rng(0).bytes(DISK_BYTES)
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".plan") as file:
            started = time.perf_counter()
            file.write(noise)
            file.flush()
            os.fsync(file.fileno())
            written = DISK_BYTES / (time.perf_counter() - started)
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            file.seek(0)
            started = time.perf_counter()
            while file.read(2**24):
                pass
            return written, DISK_BYTES / (time.perf_counter() - started)
    except OSError as error:
        raise ValueError(
            f"the disk of {folder} is measured with a file of {DISK_BYTES // 10**6} MB, which "
            f"could not be written: {error.strerror}; free space, or name another --workdir."
        ) from error
