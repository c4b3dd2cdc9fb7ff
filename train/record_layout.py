"""Where every array of a state lies in its file, and what a file's arrays are known by."""

import hashlib
import json
import mmap
import zlib
from typing import Any, NamedTuple

import jax
import numpy as np

from train.flat_tree import flatten_tree, path_string, signature
from train.state import TrainState


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


def map_paths(change: Any, tree: Any) -> Any:
    """The tree with every leaf replaced by `change(path, leaf)`, a path as in `flatten_tree`."""
    return jax.tree.map_with_path(lambda path, leaf: change(path_string(path), leaf), tree)
