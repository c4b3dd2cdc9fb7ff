"""Trees as flat {path: leaf} dicts, in one fixed order, and their digest."""

import hashlib
import json
from typing import Any

import jax
import numpy as np


def flatten_tree(tree: Any) -> dict[str, Any]:
    """{path: leaf}, sorted by path; a path is like `params/layers/0/w`.

    Raises:
      ValueError: two leaves have the same path (a dict key with a slash in it).
    """
    pairs = [(path_string(path), leaf) for path, leaf in jax.tree.flatten_with_path(tree)[0]]
    leaves = dict(sorted(pairs, key=lambda pair: pair[0]))
    if len(leaves) != len(pairs):
        names = [path for path, _ in pairs]
        twice = next(path for path in names if names.count(path) > 1)
        raise ValueError(f"two leaves of the tree have the path {twice!r}; rename one.")
    return leaves


def path_string(path: tuple[Any, ...]) -> str:
    """Keys, indices and field names joined by slashes; a bare leaf is `array`."""
    return jax.tree_util.keystr(path, simple=True, separator="/") or "array"


def signature(leaf: Any) -> dict[str, Any]:
    """{"dtype": name, "shape": list} of an array, a ShapeDtypeStruct or a Python number."""
    if not hasattr(leaf, "dtype"):
        leaf = np.asarray(leaf)
    return {"dtype": leaf.dtype.name, "shape": list(leaf.shape)}


def tree_digest(tree: Any) -> str:
    """The SHA-256 over path, dtype, shape and bytes of every leaf, in the order of the paths.

    The same for jax and numpy arrays, and for a nested tree and its flat {path: array} dict.
    """
    total = hashlib.sha256()
    for path, leaf in flatten_tree(tree).items():
        array = np.asarray(leaf)
        # The header fixes how many bytes follow, so no two trees feed the same stream.
        total.update(json.dumps([path, array.dtype.name, array.shape]).encode())
        # numpy's bfloat16 has no buffer interface, hence the view.
        total.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return total.hexdigest()


def storable_leaf(path: str, leaf: Any) -> np.ndarray:
    """The leaf as a numpy array that a file can hold; no copy of an array on the CPU.

    Raises:
      ValueError: keys, texts, objects, or nothing at all.
    """
    key = isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    array = None if key else np.asarray(leaf)
    if array is None or array.dtype.kind in "OSUMm" or not array.size:
        got = leaf.dtype if key else signature(leaf)
        raise ValueError(
            f"a checkpoint holds arrays of numbers with at least one entry, got {got} at {path}; "
            "leave it out or convert it."
        )
    return array


def restored_leaf(wanted: Any, array: np.ndarray) -> Any:
    """The array as what `wanted` is: a Python number, a numpy array, or a jax array."""
    if isinstance(wanted, bool | int | float):
        return type(wanted)(array.item())
    if isinstance(wanted, np.ndarray | np.generic):
        return array
    # Bound to no device, like what a step makes: else every function would be compiled once more.
    return jax.device_put(array)
