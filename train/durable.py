"""Files that are whole and on the disk once a function returns."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


def write_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """`path` holds exactly `data`, durably; a crash at any moment leaves the old file or the new.

    Args:
      path: in a folder that exists; an older file of that name is replaced.
      data: the whole content.
      mode: permission bits of the new file, whatever the umask is.

    Raises:
      ValueError: the file cannot be written (disk full, permissions); the old file is untouched.
    """
    # One name for all attempts, so that killed writes do not pile up.
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        _write_new(part, data, mode)
        part.replace(path)
        fsync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise ValueError(
            f"the file {path} could not be written: {error.strerror or error}; free space on the "
            "disk or correct its permissions and try again."
        ) from error


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """What is written into the yielded folder is at `path`, durably, once the block is left.

    Whatever cuts the block short leaves `path` as it was.

    Raises:
      ValueError: something is at `path` already that is not an empty folder.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ValueError(f"a new folder was wanted, got {path} with files in it; name another.")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    try:
        yield part
        fsync_tree(part)
        part.rename(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    fsync_folder(path.parent)


def fsync_file(path: Path) -> None:
    """What the file `path` holds is on the disk."""
    _fsync(path, os.O_RDONLY)


def fsync_folder(path: Path) -> None:
    """The names in the folder `path` are on the disk; OSError when the disk refuses."""
    _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


def fsync_tree(path: Path) -> None:
    """Every file and folder below `path`, and `path` itself, is on the disk."""
    for folder, _, names in path.walk(top_down=False):
        for name in names:
            _fsync(folder / name, os.O_RDONLY)
        fsync_folder(folder)


def disk_use(path: Path) -> int:
    """Bytes of all files below `path`."""
    files = [folder / name for folder, _, names in path.walk() for name in names]
    return sum(file.lstat().st_size for file in files if file.exists())


def sha256_file(path: Path) -> str:
    """The SHA-256 of the bytes of the file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
