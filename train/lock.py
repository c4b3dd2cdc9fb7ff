"""One writer for each model folder."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Self


class UnwritableError(ValueError):
    """The folder can be read but not written: a read-only disk, or permissions."""


class HeldError(ValueError):
    """The folder is open for writing in another process."""


class WriterLock:
    """A context in which this is the only writer of the model folder.

    The lock belongs to the open file and dies with the process, so it is never stale. A child made
    by `os.fork` shares it until that child ends; a program started by `subprocess` does not.
    """

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        """The folder is held for writing.

        Raises:
          ValueError: another writer holds it, it does not exist, or it cannot be written.
        """
        self._descriptor = _acquire(self._workdir)
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            try:
                # The file stays: removing it would let two writers lock two different files.
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, 0)
            finally:
                os.close(descriptor)


def _acquire(workdir: Path) -> int:
    if not workdir.is_dir():
        raise ValueError(f"there is no model folder {workdir}; check --workdir.")
    if not os.access(workdir, os.W_OK | os.X_OK, effective_ids=True):
        raise _unwritable(workdir, "its permissions forbid writing")
    try:
        descriptor = os.open(workdir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unwritable(workdir, error.strerror) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise HeldError(_held_sentence(workdir, holder)) from error
    except OSError as error:
        os.close(descriptor)
        raise _unwritable(workdir, error.strerror) from error
    return descriptor


def _held_sentence(workdir: Path, holder: str) -> str:
    return (
        f"the model folder {workdir} is open for writing in process {holder}; close it there, "
        "or open it for reading (--mode=report)."
    )


def _unwritable(workdir: Path, reason: str | None) -> UnwritableError:
    return UnwritableError(
        f"the model folder {workdir} cannot be opened for writing: {reason}; correct its "
        "permissions, or open it for reading (--mode=report)."
    )
