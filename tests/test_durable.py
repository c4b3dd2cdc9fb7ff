"""Files that are whole and on the disk."""

import os
import resource
from pathlib import Path

import pytest

from train import durable


def _bits(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _name_of(descriptor: int) -> str:
    return Path(f"/proc/self/fd/{descriptor}").readlink().name


def test_write_file_replaces_the_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "context.txt"
    durable.write_file(path, b"a long first version")
    durable.write_file(path, b"second")
    assert path.read_bytes() == b"second"
    assert [file.name for file in tmp_path.iterdir()] == ["context.txt"]


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_write_file_sets_permissions_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    old = os.umask(0o077)
    try:
        durable.write_file(tmp_path / "file", b"x", mode)
    finally:
        os.umask(old)
    assert _bits(tmp_path / "file") == mode


def test_write_file_syncs_file_then_renames_then_syncs_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace

    def seen_fsync(descriptor: int) -> None:
        calls.append(("fsync", _name_of(descriptor)))
        fsync(descriptor)

    def seen_replace(source: Path, target: Path) -> None:
        assert source.read_bytes() == b"x"
        calls.append(("replace", target.name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_replace)
    durable.write_file(tmp_path / "file", b"x")
    assert calls == [("fsync", ".file.part"), ("replace", "file"), ("fsync", tmp_path.name)]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    durable.write_file(path, b"old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ValueError, match=r"file .*file could not be written: .*; free space"):
            durable.write_file(path, b"new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_write_file_does_not_follow_a_link_left_at_its_temporary_name(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"precious")
    (tmp_path / ".file.part").symlink_to(tmp_path / "other")
    durable.write_file(tmp_path / "file", b"x")
    assert (tmp_path / "other").read_bytes() == b"precious"


def test_fsync_tree_reaches_every_file_and_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "deep").touch()
    (tmp_path / "top").touch()
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(_name_of(descriptor)))
    durable.fsync_tree(tmp_path)
    assert sorted(synced) == sorted(["a", "b", "deep", "top", tmp_path.name])
    assert synced.index("deep") < synced.index("b") < synced.index("a")


def test_sha256_file_is_the_published_value(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert durable.sha256_file(tmp_path / "file") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
