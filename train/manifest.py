"""The manifest of a checkpoint: every file's SHA-256 and size, in a file that checks itself."""

import hashlib
import json
from pathlib import Path
from stat import S_ISREG
from typing import Any

from train import durable

FORMAT = 1
MANIFEST = "MANIFEST.json"


def seal(path: Path, body: dict[str, Any]) -> dict[str, Any]:
    """The folder `path` has a manifest, is readable by its owner only, and is on the disk.

    Args:
      path: a folder with all its files written.
      body: JSON values to keep: the event, the digest and leaves of the tree, metadata.

    Returns:
      The manifest: `body`, the format, {file: {sha256, size}}, and its own checksum.
    """
    files = {}
    for name, file in _entries(path).items():
        file.chmod(0o600)
        files[name] = {"sha256": durable.sha256_file(file), "size": file.stat().st_size}
    manifest = seal_body(path, {**body, "files": files})
    for folder, _, _ in path.walk():
        folder.chmod(0o700)
    durable.fsync_tree(path)
    return manifest


def seal_body(path: Path, body: dict[str, Any]) -> dict[str, Any]:
    """The folder `path` has a manifest of `body`, the format and its own checksum; returns it."""
    manifest = _with_check({**body, "format": FORMAT})
    durable.write_file(path / MANIFEST, _encode(manifest))
    return manifest


def read_manifest(where: Path) -> dict[str, Any]:
    """The manifest in the folder `where`, proved undamaged; keys as `seal` was given them.

    Raises:
      ValueError: there is none, it is damaged, or of a newer format.
    """
    try:
        raw = (where / MANIFEST).read_bytes()
        manifest = json.loads(raw)
        del manifest["check"]
    except FileNotFoundError as error:
        raise ValueError(damage_sentence(where, f"{MANIFEST} is missing")) from error
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise ValueError(damage_sentence(where, f"{MANIFEST} is damaged")) from error
    manifest = _with_check(manifest)
    # Byte for byte, so that a flip in white space counts as damage too.
    if _encode(manifest) != raw:
        raise ValueError(damage_sentence(where, f"{MANIFEST} is damaged"))
    if manifest["format"] > FORMAT:
        raise ValueError(
            f"the checkpoint {where} has format {manifest['format']}, this program reads up to "
            f"{FORMAT}; install a newer version."
        )
    return manifest


def verify_files(path: Path, files: dict[str, Any]) -> None:
    """The folder `path` holds exactly the `files` of its manifest, byte for byte.

    Raises:
      ValueError: the first file, by name, that is damaged, missing or extra.
    """
    found = _entries(path)
    found.pop(MANIFEST, None)
    for name in sorted(files.keys() | found.keys()):
        if name not in found:
            raise ValueError(damage_sentence(path, f"{name} is missing"))
        if name not in files:
            raise ValueError(damage_sentence(path, f"{name} does not belong to it"))
        stat = found[name].lstat()
        if not S_ISREG(stat.st_mode):
            raise ValueError(damage_sentence(path, f"{name} is not a plain file"))
        if stat.st_size != files[name]["size"]:
            raise ValueError(
                damage_sentence(path, f"{name} has another size than when it was saved")
            )
        if durable.sha256_file(found[name]) != files[name]["sha256"]:
            raise ValueError(damage_sentence(path, f"{name} is damaged"))


def damage_sentence(path: Path, what: str) -> str:
    """The sentence for a checkpoint that must not be used."""
    return f"the checkpoint {path} is damaged: {what}; use an older checkpoint."


def _with_check(manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "check": hashlib.sha256(_encode(manifest)).hexdigest()}


def _encode(manifest: dict[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


def _entries(path: Path) -> dict[str, Path]:
    """Everything below `path` that is not a folder, by its relative name, sorted."""
    files = [folder / name for folder, _, names in path.walk() for name in names]
    return {file.relative_to(path).as_posix(): file for file in sorted(files)}
