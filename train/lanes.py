"""What lies between arrays and the disk: aligned buffers, threads, memory that is used again.

Memory that the system gives anew is mapped and cleared first, page by page: filling it went at 1.2
instead of 10 GB/s where it was measured (docs/memory.md). So buffers stay, and the arrays of a
layer that was written are filled with the next layer's.
"""

import mmap
import queue
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

# Smaller arrays are made anew.
REUSED_BYTES = 2**20
# Of each direction: one is filled while another is emptied.
LANES = 2


class Lane:
    """A buffer on pages of its own, as the disk wants it; it grows when it has to."""

    def __init__(self) -> None:
        self._memory = _mapped(mmap.PAGESIZE)

    def view(self, n_bytes: int) -> memoryview:
        """So many bytes of it."""
        if len(self._memory) < n_bytes:
            self._memory = _mapped(n_bytes)
        return memoryview(self._memory)[:n_bytes]


class Lanes:
    """The buffers that are free in each direction, and a thread for each that works on them.

    `inward` holds what was read, `checker` proves and copies it; `packer` fills `outward`.
    """

    def __init__(self) -> None:
        self.checker = ThreadPoolExecutor(1, "disk-check")
        self.packer = ThreadPoolExecutor(1, "disk-pack")
        self.inward: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        self.outward: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for lanes in (self.inward, self.outward):
            for _ in range(LANES):
                lanes.put(Lane())
        self._spare: defaultdict[tuple[tuple[int, ...], np.dtype], list[jax.Array]]
        self._spare = defaultdict(list)

    def filled(self, values: np.ndarray) -> jax.Array:
        """The values in memory of their own, if possible in that of an array that is used up."""
        if values.nbytes < REUSED_BYTES:
            return jax.block_until_ready(jnp.array(values))
        spare = self._spare[values.shape, values.dtype]
        old = spare.pop() if spare else jnp.zeros(values.shape, values.dtype)
        return jax.block_until_ready(_refilled(old, values))

    def give_back(self, array: jax.Array) -> None:
        """The array's memory may be used again: nobody reads it any more."""
        if array.nbytes >= REUSED_BYTES:
            self._spare[array.shape, array.dtype].append(array)

    def forget(self) -> None:
        """No memory is kept for arrays to come."""
        self._spare.clear()

    def close(self) -> None:
        """The threads have ended."""
        self.checker.shutdown()
        self.packer.shutdown()
        self.forget()


def _mapped(n_bytes: int) -> mmap.mmap:
    return mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


@partial(jax.jit, donate_argnums=0, keep_unused=True)
def _refilled(old, values):
    del old
    return values
