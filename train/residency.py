"""How much of a state on the disk stays in memory."""

import math
import shutil
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from train.lanes import LANES
from train.memory import gigabytes
from train.record_layout import part_names, part_of
from train.state import TrainState

# What Python, JAX and the compiled functions take, measured at 0.35 GB.
FRAMEWORK_BYTES = 400 * 2**20
# Parts in memory at once: one is computed, another is written or read.
IN_FLIGHT = 2
# What a checkpoint has besides its arrays, and room to go on writing the journal.
SPARE_DISK_BYTES = 64 * 2**20


class Residency(NamedTuple):
    """Whether the forward pass finds its weights in memory, and which parts stay there whole."""

    copies: bool
    held: frozenset[str]

    @classmethod
    def within(cls, memory: int, abstract: TrainState, dtype: DTypeLike) -> Self:
        """The most that fits into `memory` bytes, in the order of what it saves.

        Raises:
          ValueError: not even one part fits; says what would.
        """
        if memory < (least := least_bytes(abstract)):
            raise ValueError(
                f"a step over this model needs at least {gigabytes(least)} of memory besides its "
                f"batch, got {gigabytes(memory)}; give more with --memory, or choose a model with "
                "smaller layers."
            )
        sizes = {name: part_bytes(abstract, name) for name in part_names(abstract.params)}
        left = memory - least
        copies = copy_bytes(abstract.params, dtype)
        if left < copies:
            return cls(False, frozenset())
        left -= copies
        held = []
        # The last layers first: they are the first to be updated, when no write is under way.
        for name in reversed(sizes):
            if sizes[name] > left:
                break
            left -= sizes[name]
            held.append(name)
        return cls(True, frozenset(held))


def tree_bytes(tree: Any) -> int:
    """Bytes of all leaves of a tree of arrays or abstract arrays."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def part_bytes(abstract: TrainState, name: str) -> int:
    """Bytes of a part's weights and moments."""
    return sum(tree_bytes(part_of(tree, name)) for tree in abstract)


def copy_bytes(params: Any, dtype: DTypeLike) -> int:
    """Bytes of what the forward pass and the replies need."""
    return tree_bytes(params) * jnp.dtype(dtype).itemsize // 4


def least_bytes(abstract: TrainState) -> int:
    """Bytes without which no step over this state can be made, but for what its batch needs."""
    names = part_names(abstract.params)
    largest = max(part_bytes(abstract, name) for name in names)
    gradient = max(tree_bytes(part_of(abstract.params, name)) for name in names)
    array = max(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(abstract))
    # Its gradient, and the largest array on its way from and to the disk.
    return FRAMEWORK_BYTES + IN_FLIGHT * largest + gradient + 2 * LANES * array


def ram_bytes(abstract: TrainState, dtype: DTypeLike) -> int:
    """Bytes that training takes with the whole state in memory, about."""
    state = tree_bytes(abstract)
    copy, step = copy_bytes(abstract.params, dtype), tree_bytes(abstract.params) * 3 // 8
    return FRAMEWORK_BYTES + state + copy + step


def require_disk(folder: Path, size: int, freed: int) -> None:
    """Nothing; refuses to begin what the disk has no room for.

    Args:
      size: bytes that will be written.
      freed: bytes that are given up for it.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free + freed < size + SPARE_DISK_BYTES:
        raise ValueError(
            f"the state needs {gigabytes(size)} on the disk of {folder}, got "
            f"{gigabytes(free + freed)} free; free space or choose a smaller model."
        )
