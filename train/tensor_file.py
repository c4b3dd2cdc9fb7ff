"""Weights in safetensors files: checked before a byte of them is believed, whole when written.

The format: 8 bytes of header length, a JSON header {name: {dtype, shape, data_offsets}}, and the
tensors, which fill the rest exactly.
"""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from train import durable

# The same bound as the safetensors library's.
MAX_HEADER = 100_000_000
_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(jnp.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_FIELDS = {"dtype", "shape", "data_offsets"}


class Entry(NamedTuple):
    """Where a tensor lies: `start` and `stop` in bytes after the header."""

    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    stop: int


def write_leaves(path: Path, leaves: Mapping[str, Any]) -> None:
    """The new file `path` holds the leaves; one of them is read into memory at a time.

    Args:
      leaves: by name; anything with shape and dtype that NumPy can read.
    """
    header, start = {}, 0
    names = {dtype: name for name, dtype in _DTYPES.items()}
    for name, leaf in leaves.items():
        dtype = np.dtype(leaf.dtype)
        stop = start + math.prod(leaf.shape) * dtype.itemsize
        header[name] = {
            "dtype": names[dtype],
            "shape": list(leaf.shape),
            "data_offsets": [start, stop],
        }
        start = stop
    text = json.dumps(header).encode()
    # The tensors begin at a multiple of 8, as the library's own do.
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for leaf in leaves.values():
            file.write(np.ascontiguousarray(np.asarray(leaf)).reshape(-1).view(np.uint8))


def save_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """The new file `path` holds the tensors, durably; contiguous arrays only.

    Raises:
      ValueError: an array that is a transposed view, or a disk that refuses.
    """
    for name, tensor in tensors.items():
        if not tensor.flags.c_contiguous:
            raise ValueError(f"the tensor {name} is a view with other strides; copy it first.")
    try:
        # Older transformers refuse a file that does not name its maker's framework.
        save_file(dict(tensors), path, metadata={"format": "pt"})
        with path.open("rb") as file:
            os.fsync(file.fileno())
        durable.fsync_folder(path.parent)
    except (OSError, SafetensorError) as error:
        raise ValueError(
            f"the weights {path} could not be written: {error}; free space on the disk and try "
            "again."
        ) from error


def load_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a file, mapped into memory and read when they are used.

    Raises:
      ValueError: the file is missing, truncated or damaged; says in what.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(8)
            length = int.from_bytes(head, "little")
            header = file.read(length) if length <= MAX_HEADER else b""
        entries = read_header(head + header, size)
        data = np.memmap(path, np.uint8, "r")[8 + length :]
        return {
            name: data[entry.start : entry.stop].view(entry.dtype).reshape(entry.shape)
            for name, entry in entries.items()
        }
    except FileNotFoundError as error:
        raise ValueError(f"the weights {path} are missing; restore them from a copy.") from error
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the weights {path} cannot be read: {error}; get the file again."
        ) from error


def read_header(head: bytes, size: int) -> dict[str, Entry]:
    """The tensors that a safetensors file of `size` bytes holds, every byte in exactly one.

    Args:
      head: the first bytes of the file, header included.
      size: of the whole file in bytes.

    Raises:
      ValueError: half a sentence on what is wrong, for `load_tensors` to finish.
    """
    if size < 8 or len(head) < 8:
        raise ValueError(f"it has {size} bytes, want at least 8")
    length = int.from_bytes(head[:8], "little")
    if length > MAX_HEADER:
        raise ValueError(f"its header would have {length} bytes, want at most {MAX_HEADER}")
    if 8 + length > size or len(head) < 8 + length:
        raise ValueError(f"its header of {length} bytes is larger than the file of {size} bytes")
    fields = _parse(head[8 : 8 + length])
    entries = {name: _entry(name, value) for name, value in fields.items()}
    _require_exact_cover(entries, size - 8 - length)
    return entries


def _parse(header: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"its header has {twice!r} twice")
        # Half of a pair of escapes is no text, though Python's JSON lets it pass.
        for text in (*found, *found.values()):
            if isinstance(text, str):
                text.encode()
        return found

    if not header.startswith(b"{"):
        raise ValueError("its header does not begin with an object")
    try:
        fields = json.loads(header.decode(), object_pairs_hook=unique)
    except (json.JSONDecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"its header is not JSON ({error})") from error
    metadata = fields.pop("__metadata__", None)
    if metadata is not None and not (
        isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    ):
        raise ValueError("its header's metadata are not texts by name")
    return fields


def _entry(name: str, value: Any) -> Entry:
    if not isinstance(value, dict) or set(value) != _FIELDS:
        raise ValueError(f"the tensor {name!r} does not have dtype, shape and data_offsets")
    kind, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise ValueError(f"the tensor {name!r} has the dtype {kind!r}, want F32, F16 or BF16")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        raise ValueError(f"the tensor {name!r} has the shape {shape!r} at {offsets!r}")
    start, stop = offsets
    n_bytes = math.prod(shape) * _DTYPES[kind].itemsize
    if stop - start != n_bytes:
        raise ValueError(f"the tensor {name!r} has {stop - start} bytes, its shape wants {n_bytes}")
    return Entry(_DTYPES[kind], tuple(shape), start, stop)


def _are_counts(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= 32
        and all(type(value) is int and 0 <= value < 2**63 for value in values)
    )


def _require_exact_cover(entries: Mapping[str, Entry], n_bytes: int) -> None:
    """Nothing; refuses tensors that overlap, leave a gap, or do not end where the file ends."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end:
            what = "overlaps the one before it" if entry.start < end else "leaves a gap before it"
            raise ValueError(f"the tensor {name!r} {what} (at byte {entry.start}, want {end})")
        end = entry.stop
    if end != n_bytes:
        raise ValueError(f"its tensors have {end} bytes, the file has {n_bytes} for them")
