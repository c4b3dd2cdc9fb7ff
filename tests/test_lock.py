"""One writer for each model folder."""

import errno
import fcntl
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from train.lock import WriterLock

_HOLD = """
import sys
from pathlib import Path
from train.lock import WriterLock
with WriterLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def forbidden_folder() -> Iterator[Path]:
    """A folder that the present user may read but not write, also when the tests run as root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o700)


def test_a_second_writer_in_the_same_process_is_refused(tmp_path: Path) -> None:
    sentence = rf"folder {re.escape(str(tmp_path))} is open for writing in process {os.getpid()};"
    with WriterLock(tmp_path) as lock:
        with pytest.raises(ValueError, match=sentence + r".*--mode=report"), WriterLock(tmp_path):
            pass
        with pytest.raises(ValueError, match=sentence), lock:
            pass


def test_the_lock_is_free_again_after_the_context(tmp_path: Path) -> None:
    for _ in range(2):
        with WriterLock(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "lock").read_text() == ""


def test_the_lock_file_is_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with WriterLock(tmp_path):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(old)


def test_another_process_is_named_and_its_death_frees_the_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"in process {child.pid};"), WriterLock(tmp_path):
            pass
        child.kill()
        child.wait()
        assert (tmp_path / "lock").read_text() == f"{child.pid}\n"
        with WriterLock(tmp_path):
            assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_program_that_is_started_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with WriterLock(tmp_path):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with WriterLock(tmp_path):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_missing_folder_is_refused_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no model folder"), WriterLock(tmp_path / "no"):
        pass
    assert not (tmp_path / "no").exists()


def test_a_folder_that_forbids_writing_is_refused(forbidden_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"forbid writing; .*reading"):
        WriterLock(forbidden_folder).__enter__()


def test_a_file_system_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(ValueError, match="No locks available"):
        WriterLock(tmp_path).__enter__()


def test_a_lock_is_free_even_when_its_file_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch, WriterLock(tmp_path):
        patch.setattr(os, "ftruncate", refuse)
    with WriterLock(tmp_path):
        pass
