"""Checkpoints: whole or absent, on the disk, and verified to the bit when they are read.

A checkpoint is an Orbax folder of one flat dict {path: array}, so a notebook opens it without our
classes: `ocp.load(folder / "12")`. MANIFEST.json beside the arrays holds the SHA-256 and size of
every file, and the digest of the tree in memory. This is the only file that imports Orbax.
"""

import contextlib
import functools
import json
import logging
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from train import durable
from train.flat_tree import (
    flatten_tree,
    path_string,
    restored_leaf,
    signature,
    storable_leaf,
    tree_digest,
)
from train.manifest import damage_sentence, read_manifest, seal, verify_files

_TARGET = re.compile(r"0|[1-9]\d*")
_LEFTOVER = re.compile(r"\d+\.saving(\..*)?")


def save_checkpoint(
    folder: Path, tree: Any, *, event: int, metadata: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """`folder/<event>` holds `tree`, durably; a crash at any moment leaves all of it or nothing.

    Args:
      folder: made when missing, readable by its owner only.
      tree: dicts, lists and (named) tuples of jax or numpy arrays and Python numbers.
      event: the journal's last event that `tree` includes.
      metadata: JSON values kept in the manifest.

    Returns:
      The digest of the tree (see `tree_digest`) and the manifest.

    Raises:
      ValueError: the checkpoint exists, a leaf cannot be stored, or the disk refuses.
    """
    target, saving = folder / str(event), folder / f"{event}.saving"
    if target.exists():
        raise ValueError(f"the checkpoint {target} already exists; remove it before saving again.")
    arrays = {path: storable_leaf(path, leaf) for path, leaf in flatten_tree(tree).items()}
    if not arrays:
        raise ValueError(f"the checkpoint {target} would hold no array; give a tree with leaves.")
    body = {
        "event": event,
        "digest": tree_digest(arrays),
        "leaves": {path: signature(array) for path, array in arrays.items()},
        "metadata": _json_value(metadata),
    }
    try:
        manifest = _publish(saving, target, arrays, body)
    except Exception as error:
        for part in (target, *folder.glob(f"{saving.name}*")):
            shutil.rmtree(part, ignore_errors=True)
        raise ValueError(
            f"the checkpoint {target} could not be written: {_first_line(error)}; nothing was "
            "changed; free space on the disk and try again."
        ) from error
    return manifest["digest"], manifest


def load_checkpoint(
    folder: Path, event: int, abstract_tree: Any, *, digest: str | None = None
) -> Any:
    """The tree that was saved, bit for bit, in the structure of `abstract_tree`.

    Every file is compared with the manifest before Orbax sees it, and the restored tree with the
    digest of the saved one.

    Args:
      folder: the folder of all checkpoints.
      event: which one.
      abstract_tree: `jax.ShapeDtypeStruct`s or arrays. A leaf that is a numpy array or a Python
        number comes back as one; every other leaf as a jax array on the CPU.
      digest: when given, what `save_checkpoint` returned (the journal's copy).

    Raises:
      ValueError: a damaged, missing or extra file, or another structure, shape or dtype.
    """
    where = folder / str(event)
    manifest = _manifest_of(where, event)
    if digest is not None and manifest["digest"] != digest:
        raise ValueError(
            f"the checkpoint {where} has the digest {manifest['digest']}, want {digest}; "
            "use an older checkpoint."
        )
    verify_files(where, manifest["files"])
    wanted = flatten_tree(abstract_tree)
    _require_same_leaves(where, manifest["leaves"], wanted)
    arrays = _orbax_load(where, manifest["leaves"])
    with jax.default_device(jax.devices("cpu")[0]):
        # `pop` lets each numpy copy go as soon as its jax array exists.
        restored = {path: restored_leaf(leaf, arrays.pop(path)) for path, leaf in wanted.items()}
    if tree_digest(restored) != manifest["digest"]:
        raise ValueError(damage_sentence(where, "the restored arrays differ from the saved ones"))
    paths, structure = jax.tree.flatten_with_path(abstract_tree)
    return jax.tree.unflatten(structure, [restored[path_string(path)] for path, _ in paths])


def check_checkpoint(folder: Path, event: int, digest: str) -> bool:
    """Whether the files of a checkpoint are those that were saved, with this digest."""
    try:
        manifest = _manifest_of(folder / str(event), event)
        verify_files(folder / str(event), manifest["files"])
    except ValueError:
        return False
    return manifest["digest"] == digest


def list_checkpoints(folder: Path) -> list[int]:
    """The events that have a checkpoint in `folder`, ascending; empty when there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(
        int(path.name)
        for path in folder.iterdir()
        if _TARGET.fullmatch(path.name) and path.is_dir()
    )


def remove_checkpoint(folder: Path, event: int) -> None:
    """`folder/<event>` is gone; a kill in between leaves only what `clean_checkpoints` removes."""
    target, doomed = folder / str(event), folder / f"{event}.saving"
    try:
        _remove(doomed)
        target.rename(doomed)
        durable.fsync_folder(folder)
        _remove(doomed)
    except OSError as error:
        raise ValueError(
            f"the checkpoint {target} could not be removed: {error.strerror}; correct the "
            "permissions of its folder and try again."
        ) from error


def clean_checkpoints(folder: Path) -> None:
    """What killed saves and removals left in `folder` is gone; nothing else is touched.

    What cannot be removed now (a failed save's threads may still write) is left for the next time.
    """
    for path in list(folder.iterdir()) if folder.is_dir() else ():
        if _LEFTOVER.fullmatch(path.name):
            with contextlib.suppress(OSError):
                _remove(path)


def _manifest_of(where: Path, event: int) -> dict[str, Any]:
    manifest = read_manifest(where)
    if manifest["event"] != event:
        raise ValueError(damage_sentence(where, f"it was saved as event {manifest['event']}"))
    return manifest


def _publish(
    saving: Path, target: Path, arrays: dict[str, np.ndarray], body: dict[str, Any]
) -> dict[str, Any]:
    """Everything is written and synced under the name `saving`, then it is called `target`."""
    folder = target.parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for part in folder.glob(f"{saving.name}*"):
        _remove(part)
    _orbax_save(saving, arrays)
    manifest = seal(saving, body)
    saving.rename(target)
    durable.fsync_folder(folder)
    durable.fsync_folder(folder.parent)
    return manifest


def _orbax_save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with _quiet_orbax() as ocp:
        context = ocp.Context()
        # Float weights hardly compress: 120 MB took 0.74 s compressed, 0.3 s plain.
        context.array.saving.use_compression = False
        # Nobody changes them until `save` returns; the copy would be as large as the whole state.
        context.memory.deepcopy_host_arrays = False
        _hush_abandoned_threads()
        with context:
            ocp.save(path.absolute(), arrays)


@functools.cache
def _hush_abandoned_threads() -> None:
    """Threads and futures that a failed save leaves behind are quiet; it told its error itself.

    Each thread that finds the event loop closed, and each error that nobody fetched, would print
    that on the owner's screen, at once or when it is collected.
    """
    hook = sys.unraisablehook

    def tell(failure: Any) -> None:
        if str(failure.exc_value) != "Event loop is closed":
            hook(failure)

    sys.unraisablehook = tell
    logging.getLogger("asyncio").addFilter(
        lambda record: ".saving.orbax-checkpoint-tmp" not in record.getMessage()
    )


def _orbax_load(path: Path, leaves: dict[str, Any]) -> dict[str, np.ndarray]:
    abstract = {
        name: np.empty(leaf["shape"], np.dtype(leaf["dtype"])) for name, leaf in leaves.items()
    }
    with _quiet_orbax() as ocp:
        try:
            return ocp.load(path.absolute(), abstract)
        except Exception as error:
            raise ValueError(damage_sentence(path, _first_line(error))) from error


@contextlib.contextmanager
def _quiet_orbax() -> Iterator[Any]:
    """Orbax, imported only now (0.4 to 1 s), which tells its errors by raising alone."""
    # absl must make its logger itself, before anyone asks the standard library for it.
    import absl.logging  # noqa: F401

    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        from orbax.checkpoint import v1 as ocp

        yield ocp
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _require_same_leaves(path: Path, saved: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name in sorted(saved.keys() | wanted.keys()):
        got = saved.get(name, "no such leaf")
        want = signature(wanted[name]) if name in wanted else "no such leaf"
        if got != want:
            raise ValueError(
                f"the checkpoint {path} does not fit at {name}: got {got}, want {want}; "
                "load it with the config that it was saved with."
            )


def _json_value(metadata: dict[str, Any]) -> dict[str, Any]:
    """`metadata` as it will be read back (tuples are lists, keys are strings)."""
    try:
        return json.loads(json.dumps(metadata, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"the metadata of a checkpoint must be JSON, got {error}; give plain finite values."
        ) from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
