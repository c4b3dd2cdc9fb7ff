"""What the values of flags mean."""

import pytest

from serve.flags import UsageError, parse
from train.memory import parse_bytes


@pytest.mark.parametrize(("text", "n_bytes"), [
    ("16GB", 16 * 10**9), ("900MB", 900 * 10**6), ("2GiB", 2**31), ("1.5 gib", 3 * 2**29),
    ("512k", 512_000), ("12345", 12345), ("0.5TB", 5 * 10**11), ("7b", 7),
])  # fmt: skip
def test_a_size_is_a_number_with_a_unit(text, n_bytes):
    assert parse_bytes("memory", text) == n_bytes


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "16 gigs", "0GB", "1e9", "16GBB", "inf", "١GB"])
def test_what_is_no_size_is_named(text):
    with pytest.raises(ValueError, match="memory is a size such as 16GB, 900MB or 2GiB, got"):
        parse_bytes("memory", text)


def test_memory_is_what_the_flag_says_or_unknown():
    assert parse(["apprentice", "--memory=2GiB"]).memory_bytes == 2**31
    assert parse(["apprentice"]).memory_bytes is None


def test_the_store_is_one_of_three():
    store = parse(["apprentice", "--store=disk", "--memory=2GiB", "--remat"]).store_config
    assert (store.kind, store.memory, store.remat) == ("disk", 2**31, True)
    assert parse(["apprentice"]).store_config.kind == "auto"
    with pytest.raises(
        UsageError, match="moments must be one of float32, bfloat16, int8, got 'int4'"
    ):
        parse(["apprentice", "--moments=int4"])
    with pytest.raises(UsageError, match="store must be one of auto, ram, disk, got 'tape'"):
        parse(["apprentice", "--store=tape"])
