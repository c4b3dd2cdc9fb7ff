"""The reader of safetensors headers: what it takes, the library takes, with the same tensors.

FUZZ_INPUTS sets the number of damaged files (`make fuzz` runs 200,000).
"""

import json
import os
import struct
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import SafetensorError, deserialize

from train.tensor_file import MAX_HEADER, load_tensors, read_header, save_tensors

INPUTS = int(os.environ.get("FUZZ_INPUTS", "1000"))
TENSORS = {
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.array([1.5, -2.0], np.float16),
    "c": np.array([[3.0]], jnp.bfloat16),
    "empty": np.zeros((0, 5), np.float32),
    "mask": np.array([True, False, True]),
    "scalar": np.array(7, np.int64),
}
NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}
# What a header may hold where it should not.
TOKENS = [
    *[b"0", b"-1", b"9", b"1e3", b"null", b"[]", b"{}", b'"F32"', b'"F16"', b'"I4"', b"true"],
    *[b"18446744073709551615", b"9223372036854775808", b"NaN", b"[1,2,3]", b'"\\ud800"', b'"b"'],
    *[b'"__metadata__"', b'"dtype"', b'"shape"', b"[" * 2000, b",", b":", b"\xff", b"\x00", b" "],
]


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("tensors") / "file"
    save_tensors(path, TENSORS)
    return path.read_bytes()


def pack(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def loaded(path: Path, data: bytes) -> dict[str, np.ndarray]:
    path.write_bytes(data)
    return load_tensors(path)


def by_library(data: bytes) -> dict[str, tuple[str, list[int], bytes]]:
    return {name: (t["dtype"], t["shape"], bytes(t["data"])) for name, t in deserialize(data)}


def plain(tensors: dict[str, np.ndarray]) -> dict[str, tuple[str, list[int], bytes]]:
    """The tensors as the library tells them."""
    return {
        name: (NAMES[tensor.dtype.name], list(tensor.shape), tensor.tobytes())
        for name, tensor in tensors.items()
    }


def test_tensors_come_back_as_written(tmp_path, file):
    found = loaded(tmp_path / "file", file)
    assert plain(found) == plain(TENSORS) == by_library(file)
    assert b'"__metadata__":{"format":"pt"}' in file


def test_a_transposed_view_is_refused(tmp_path):
    with pytest.raises(ValueError, match="w is a view with other strides"):
        save_tensors(tmp_path / "file", {"w": TENSORS["a.weight"].T})
    assert not (tmp_path / "file").exists()


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


BAD = {
    "nothing": (b"", "has 0 bytes"),
    "seven bytes": (b"1234567", "has 7 bytes"),
    "header beyond the file": (
        struct.pack("<Q", 99) + b"{}",
        "of 99 bytes is larger than the file",
    ),
    "giant header": (struct.pack("<Q", MAX_HEADER + 1), "would have 100000001 bytes"),
    "no JSON": (struct.pack("<Q", 3) + b"{a}", "is not JSON"),
    "half a pair of escapes": (pack({"\ud800": entry()}, bytes(8)), "is not JSON"),
    "a list": (pack([1]), "does not begin with an object"),
    "deep JSON": (struct.pack("<Q", 90_005) + b'{"a":' + b"[" * 90_000, "is not JSON"),
    "truncated data": (pack({"w": entry()}, b"1234"), "tensors have 8 bytes, the file has 4"),
    "bytes too many": (pack({"w": entry()}, b"123456789"), "tensors have 8 bytes, the file has 9"),
    "overlap": (
        pack({"v": entry(), "w": entry(offsets=(4, 12))}, bytes(12)),
        "'w' overlaps the one before it",
    ),
    "gap": (pack({"v": entry(), "w": entry(offsets=(9, 17))}, bytes(17)), "'w' leaves a gap"),
    "shape and bytes": (pack({"w": entry(shape=(3,))}, bytes(8)), "its shape wants 12"),
    "negative shape": (pack({"w": entry(shape=(-2,))}, bytes(8)), "has the shape [-2]"),
    "dtype": (pack({"w": entry("F8_E4M3", (8,))}, bytes(8)), "has the dtype 'F8_E4M3'"),
    "no offsets": (pack({"w": {"dtype": "F32", "shape": [2]}}, bytes(8)), "does not have dtype"),
    "metadata": (pack({"__metadata__": {"a": 1}}), "metadata are not texts"),
    "a name twice": (
        struct.pack("<Q", 19) + b'{"w": 1, "w": true}',
        "has 'w' twice",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_damage_is_told_in_a_sentence(tmp_path, name):
    data, words = BAD[name]
    with pytest.raises(ValueError, match=r"the weights .*file cannot be read: ") as caught:
        loaded(tmp_path / "file", data)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ValueError, match="none are missing"):
        load_tensors(tmp_path / "none")


def damaged(rng: np.random.Generator, file: bytes) -> bytes:
    """The file with a few bytes, tokens or lengths changed."""
    data = bytearray(file)
    end = 8 + int.from_bytes(file[:8], "little")
    for _ in range(rng.integers(1, 4)):
        kind, at = rng.integers(0, 6), int(rng.integers(8, end))
        if kind == 0 and data:
            data[int(rng.integers(0, len(data)))] = int(rng.integers(0, 256))
        elif kind == 1:
            token = TOKENS[rng.integers(0, len(TOKENS))]
            data[at : at + int(rng.integers(0, 4))] = token
        elif kind == 2:
            del data[at : at + int(rng.integers(1, 12))]
        elif kind == 3:
            del data[int(rng.integers(0, len(data) + 1)) :]
        elif kind == 4:
            data[8:end] = data[8:at] + data[8:end]
        else:
            digits = [i for i, byte in enumerate(data[8:end], 8) if 48 <= byte < 58]
            if digits:
                data[digits[rng.integers(0, len(digits))]] = int(rng.integers(48, 58))
        if rng.random() < 0.7 and len(data) >= 8:
            # A length that fits again, so that damage reaches what is behind the first check.
            data[:8] = struct.pack("<Q", max(0, end - 8 + len(data) - len(file)))
    return bytes(data)


def test_damaged_headers_never_surprise(file):
    """Refused with ValueError, or read exactly as the library reads them."""
    rng = np.random.default_rng(0)
    taken = 0
    for _ in range(INPUTS):
        data = damaged(rng, file)
        try:
            entries = read_header(data, len(data))
        except ValueError:
            continue
        taken += 1
        begin = 8 + int.from_bytes(data[:8], "little")
        ours = {
            name: np.frombuffer(data[begin + e.start : begin + e.stop], e.dtype).reshape(e.shape)
            for name, e in entries.items()
        }
        try:
            theirs = by_library(data)
        except SafetensorError as error:
            raise AssertionError(f"the library refuses {data!r}: {error}") from error
        assert plain(ours) == theirs
    assert 0.001 * INPUTS < taken < 0.7 * INPUTS
