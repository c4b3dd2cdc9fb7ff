"""Checkpoints: whole or absent, bit for bit, and no damage goes unseen."""

import logging
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import absl.logging
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint_cases import abstract_of, files_of, save, training_tree

from train import checkpoint
from train.checkpoint import load_checkpoint, save_checkpoint, tree_digest
from train.memory import peak_bytes, restart_peak

ROOT = Path(__file__).parents[1]


def _bits(leaf: Any) -> tuple[Any, ...]:
    array = np.asarray(leaf)
    return type(leaf), array.dtype, array.shape, array.tobytes()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoint 7 of `training_tree()`; tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("saved")
    save(folder, training_tree())
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved, tmp_path / "checkpoints")
    return tmp_path / "checkpoints"


def test_every_leaf_comes_back_bit_for_bit(saved: Path) -> None:
    tree = training_tree()
    restored = load_checkpoint(saved, 7, abstract_of(tree), digest=tree_digest(tree))
    assert jax.tree.structure(restored) == jax.tree.structure(tree)
    assert [_bits(leaf) for leaf in jax.tree.leaves(restored)] == [
        _bits(leaf) for leaf in jax.tree.leaves(tree)
    ]
    cpu = jax.devices("cpu")[0]
    arrays = [leaf for leaf in jax.tree.leaves(restored) if isinstance(leaf, jax.Array)]
    assert all(leaf.devices() == {cpu} for leaf in arrays)


def test_saving_is_silent_and_a_notebook_reads_it_without_our_classes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    tree = {"params": {"w": jnp.arange(3.0)}, "layers": [np.ones(2)]}
    save(tmp_path, tree)
    load_checkpoint(tmp_path, 7, tree)
    assert caplog.records == []
    # Only now, for its first import would be recorded too.
    from orbax.checkpoint import v1 as ocp

    plain: Any = ocp.load(str(tmp_path / "7"))
    assert sorted(plain) == ["layers/0", "params/w"]
    assert plain["params/w"].tolist() == [0, 1, 2]
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="no peak to be seen here")
def test_saving_takes_no_second_copy(tmp_path: Path) -> None:
    save(tmp_path, {"small": jnp.ones(1)}, event=1)
    tree = {str(n): jnp.full((1024, 1024), float(n)) for n in range(32)}
    jax.block_until_ready(tree)
    restart_peak()
    before = peak_bytes()
    save(tmp_path, tree, event=2)
    assert peak_bytes() - before < 64 * 2**20  # of 128


def test_digest_and_manifest_are_returned_and_kept(tmp_path: Path) -> None:
    metadata = {"sizes": (1, 2), "rate": 0.1}
    tree = {"w": jnp.ones((2, 3), jnp.bfloat16)}
    digest, written = save_checkpoint(tmp_path, tree, event=3, metadata=metadata)
    assert written == checkpoint.read_manifest(tmp_path / "3")
    assert written["digest"] == digest == tree_digest(tree)
    assert written["metadata"] == {"sizes": [1, 2], "rate": 0.1}
    assert written["leaves"] == {"w": {"dtype": "bfloat16", "shape": [2, 3]}}
    assert (written["event"], written["format"]) == (3, 1)


def test_the_digest_is_a_fixed_function_of_path_dtype_shape_and_bytes() -> None:
    tree = {"b": jnp.arange(3.0), "a": [jnp.ones((2, 1), jnp.int32)]}
    same = {"a/0": np.ones((2, 1), np.int32), "b": np.arange(3, dtype=np.float32)}
    # Pinned: digests in old journals must stay true.
    assert tree_digest(tree) == ("605083fcfe83ed4b4adb7312ab64e5788e9166a3b03f042ee7ab0069d7ec9ad4")
    assert tree_digest(same) == tree_digest(tree)
    many = [np.full(1, n) for n in range(11)]  # as text, 10 comes before 2
    assert tree_digest(many) == tree_digest({str(n): leaf for n, leaf in enumerate(many)})
    others = [
        {**same, "b": np.array([0, 1, np.nextafter(np.float32(2), 3)], np.float32)},
        {**same, "b": np.array([-0.0, 1, 2], np.float32)},
        {**same, "a/0": np.ones((1, 2), np.int32)},
        {**same, "a/0": np.ones((2, 1), np.uint32)},
        {"a/1": same["a/0"], "b": same["b"]},
        {"a/0": same["a/0"]},
    ]
    assert len({tree_digest(other) for other in [same, *others]}) == 1 + len(others)


def test_an_existing_checkpoint_is_never_replaced(copied: Path) -> None:
    before = {path: path.read_bytes() for path in files_of(copied)}
    with pytest.raises(ValueError, match=r"checkpoints/7 already exists; remove it"):
        save(copied, {"w": jnp.ones(2)})
    assert {path: path.read_bytes() for path in files_of(copied)} == before


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({}, "would hold no array"),
        ({"w": jnp.zeros((0, 3))}, r"at least one entry, got .*\[0, 3\].* at w;"),
        ({"key": jax.random.key(0)}, r"got key<fry> at key;"),
        ({"text": "hello"}, r"got .* at text;"),
        ({"a": {"b": jnp.ones(1)}, "a/b": jnp.ones(1)}, "two leaves of the tree have the path"),
    ],
)
def test_what_cannot_be_kept_exactly_is_refused(tmp_path: Path, tree: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        save(tmp_path, tree)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), np.float32(1)])
def test_metadata_that_json_cannot_hold_is_refused(tmp_path: Path, value: Any) -> None:
    with pytest.raises(ValueError, match="metadata of a checkpoint must be JSON"):
        save_checkpoint(tmp_path, {"w": jnp.ones(1)}, event=1, metadata={"x": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("room", [100, 2000, 50_000])
def test_a_full_disk_leaves_nothing_and_the_older_checkpoint_good(
    copied: Path,
    room: int,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tree = {"w": jnp.ones((300, 300))}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(ValueError, match=r"8 could not be written: .*; nothing was changed;"):
            save(copied, tree, 8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []
    assert [path.name for path in copied.iterdir()] == ["7"]
    load_checkpoint(copied, 7, abstract_of(training_tree()))
    save(copied, tree, 8)


MANY_ARRAYS_ON_A_FULL_DISK = """
import asyncio, gc, resource, sys, time
from pathlib import Path
import numpy as np
from train.checkpoint import save_checkpoint
gc.disable()
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
tree = [np.ones(100_000, np.float32) for _ in range(30)]
try:
    save_checkpoint(Path(sys.argv[1]), tree, event=1, metadata={})
except ValueError:
    time.sleep(0.5)
    # What a writer sometimes leaves: its error, with the path, that nobody fetches.
    path = f"{sys.argv[1]}/1.saving.orbax-checkpoint-tmp/state"
    asyncio.new_event_loop().create_future().set_exception(ValueError(path))
gc.collect()
"""


def test_a_full_disk_is_told_once(tmp_path: Path) -> None:
    """Threads and futures that the failed save left behind say nothing of their own."""
    command = [sys.executable, "-c", MANY_ARRAYS_ON_A_FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stderr == ""


def test_a_killed_save_is_no_checkpoint_and_its_leftovers_are_removed(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "seal", killed)
        save(copied, {"w": jnp.ones(2)}, 8)
    (copied / "9.saving.orbax-checkpoint-tmp").mkdir()
    (copied / "notes.saving").touch()
    names = {path.name for path in copied.iterdir()}
    assert names == {"7", "8.saving", "9.saving.orbax-checkpoint-tmp", "notes.saving"}
    assert checkpoint.list_checkpoints(copied) == [7]
    checkpoint.clean_checkpoints(copied)
    assert {path.name for path in copied.iterdir()} == {"7", "notes.saving"}
    save(copied, {"w": jnp.ones(2)}, 8)


@pytest.mark.parametrize("name", ["8.saving", "8.saving.orbax-checkpoint-tmp"])
def test_a_save_that_was_killed_can_be_repeated_at_once(tmp_path: Path, name: str) -> None:
    (tmp_path / name / "state").mkdir(parents=True)
    save(tmp_path, {"w": jnp.ones(2)}, 8)
    assert [path.name for path in tmp_path.iterdir()] == ["8"]


def test_everything_is_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, rename = os.fsync, os.rename
    folder = tmp_path / "checkpoints"

    def seen_fsync(descriptor: int) -> None:
        calls.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def seen_rename(source: Any, target: Any, **kwargs: Any) -> None:
        calls.append(f"rename to {target}")
        rename(source, target, **kwargs)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "rename", seen_rename)
    save(folder, {"w": jnp.ones(2)})
    moment = calls.index(f"rename to {folder / '7'}")
    entries = [folder / "7", *(folder / "7").rglob("*")]
    saving = [str(folder / "7.saving" / path.relative_to(folder / "7")) for path in entries]
    assert set(saving) <= set(calls[:moment])
    assert calls[moment + 1 :] == [str(folder), str(tmp_path)]


def test_permissions_are_the_owner_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        save(tmp_path / "checkpoints", {"w": jnp.ones(2)})
    finally:
        os.umask(old)
    folders = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in files_of(tmp_path / "checkpoints")} == {0o600}


def test_checkpoints_are_listed_in_order_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    assert checkpoint.list_checkpoints(folder) == []
    checkpoint.clean_checkpoints(folder)
    for event in (10, 9, 0):
        save(folder, {"w": jnp.ones(2)}, event)
    (folder / "011").mkdir()
    (folder / "12").touch()
    assert checkpoint.list_checkpoints(folder) == [0, 9, 10]
    checkpoint.remove_checkpoint(folder, 9)
    assert checkpoint.list_checkpoints(folder) == [0, 10]
    assert not (folder / "9.saving").exists()
    with pytest.raises(ValueError, match="9 could not be removed"):
        checkpoint.remove_checkpoint(folder, 9)


@pytest.fixture(autouse=True)
def _warnings_and_logs_stay_as_they_were() -> Iterator[None]:
    """Every message of Orbax would be recorded here, but for our own care."""
    loggers = [absl.logging.get_absl_logger(), logging.getLogger("asyncio")]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    yield
    assert [logger.level for logger in loggers] == [logging.DEBUG] * 2
    for logger in loggers:
        logger.setLevel(logging.WARNING)


def test_a_leftover_that_cannot_be_removed_now_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise OSError(39, "Directory not empty")

    (tmp_path / "7.saving").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.shutil, "rmtree", busy)
        checkpoint.clean_checkpoints(tmp_path)
    checkpoint.clean_checkpoints(tmp_path)
    assert not list(tmp_path.iterdir())
