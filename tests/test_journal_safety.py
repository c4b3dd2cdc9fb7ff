"""The journal: no kill, full disk or damage gives another life."""

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from train.journal import Journal
from train.records import row_checksum

_APPEND_FOREVER = """
import itertools, sys
from pathlib import Path
from train.journal import Journal
with Journal.open(Path(sys.argv[1])) as journal:
    for n in itertools.count():
        event = journal.append("lesson", {"n": n, "pad": "x" * (n * 37 % 5000)}, say=f"word {n}")
        print(event.id, flush=True)
"""
_PRINT_LAST = """
import sys
from pathlib import Path
from train.journal import Journal
with Journal.open(Path(sys.argv[1]), read_only=True) as journal:
    print(journal.last().id, journal.search("hello")[0].answer)
"""
_few = settings(derandomize=True, deadline=None, max_examples=40)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.create(path) as journal:
        yield journal


def test_a_row_is_there_for_another_process_as_soon_as_append_returns(
    journal: Journal, path: Path
) -> None:
    event = journal.append("lesson", {}, say="hello", answer="goodbye")
    command = [sys.executable, "-c", _PRINT_LAST, str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == f"{event.id} goodbye\n"


def test_every_commit_reaches_the_disk(journal: Journal) -> None:
    full = 2
    connection = journal._connection
    assert connection.execute("PRAGMA synchronous").fetchone()[0] == full
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_a_killed_writer_loses_no_acknowledged_event(path: Path) -> None:
    Journal.create(path).close()
    moments = random.Random(20)
    acknowledged: list[int] = []
    for _ in range(20):
        command = [sys.executable, "-c", _APPEND_FOREVER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            for _ in range(moments.randrange(1, 60)):
                acknowledged.append(int(child.stdout.readline()))
            child.kill()
            acknowledged += [int(line) for line in child.stdout if line.endswith("\n")]
        with Journal.open(path) as journal:
            ids = [event.id for event in journal.events()]
            assert ids == list(range(1, len(ids) + 1))
            assert set(acknowledged) <= set(ids)
            assert len(journal.search("word", limit=10_000)) == len(ids)


def test_a_full_disk_changes_nothing(journal: Journal, path: Path) -> None:
    journal.append("lesson", {}, say="before")
    wal = path.with_name("journal.sqlite-wal")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (0, 5000, 20_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (wal.stat().st_size + room, hard))
        try:
            with pytest.raises(ValueError, match=r"could not be written: .*nothing was changed;"):
                journal.append("lesson", {"big": "y" * 100_000}, say="lost")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert journal.count("lesson") == 1
        assert journal.search("lost") == []
    assert journal.append("lesson", {}, say="after").id == 2
    journal.close()
    with Journal.open(path) as again:
        assert [event.id for event in again.events()] == [1, 2]
        assert [hit.say for hit in again.search("after")] == ["after"]


def test_an_error_between_the_two_inserts_keeps_neither(journal: Journal) -> None:
    journal._connection.execute("DROP TABLE talk")
    with pytest.raises(ValueError, match="no such table: talk; nothing was changed"):
        journal.append("lesson", {}, say="x")
    assert journal.last() is None
    assert journal.append("lesson", {}).id == 1


def test_permissions_are_the_owner_only(path: Path) -> None:
    old = os.umask(0)
    try:
        path.parent.mkdir(mode=0o755)
        with Journal.create(path) as journal:
            journal.append("birth", {})
            bits = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        path.chmod(0o644)
        Journal.open(path).close()
    finally:
        os.umask(old)
    names = ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "journal.head")
    assert bits == dict.fromkeys(names, 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600, "a copied journal must be closed again"


def test_a_creation_that_was_killed_leaves_no_journal_and_can_be_repeated(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "rename", killed)
        Journal.create(path)
    assert not path.exists()
    with Journal.create(path) as journal:
        assert journal.append("birth", {}).id == 1


def test_files_that_are_not_ours_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no journal .*none;"):
        Journal.open(tmp_path / "none")
    (tmp_path / "text").write_text("not a database, but long enough to be read as one " * 20)
    with pytest.raises(ValueError, match=r"text is damaged or unreadable: file is not a database;"):
        Journal.open(tmp_path / "text")
    sqlite3.connect(tmp_path / "other").executescript("CREATE TABLE t (a)").connection.close()
    with pytest.raises(ValueError, match="other is not a journal of this program"):
        Journal.open(tmp_path / "other")


@pytest.mark.parametrize(("found", "words"), [
    (3, "format 3, this program reads 2; install a newer version"),
    (1, "format 1, this program reads 2; install the version that made it"),
])  # fmt: skip
def test_another_format_is_refused(journal: Journal, path: Path, found: int, words: str) -> None:
    journal._connection.execute(f"PRAGMA user_version = {found}")
    journal.close()
    before = path.read_bytes()
    with pytest.raises(ValueError, match=words):
        Journal.open(path)
    assert path.read_bytes() == before


def test_damage_in_the_log_of_newest_events_is_noticed(journal: Journal, path: Path) -> None:
    """SQLite takes a damaged frame for the end of its log and would say nothing."""
    events = [journal.append("lesson", {"n": n, "pad": "x" * 5000}) for n in range(6)]
    copied = path.parent / "copied"
    copied.mkdir()
    for file in path.parent.glob("journal.*"):
        shutil.copyfile(file, copied / file.name)
    with Journal.open(copied / path.name, read_only=True) as whole:
        assert list(whole.events()) == events and whole.lost() == 0
    log = copied / "journal.sqlite-wal"
    raw = bytearray(log.read_bytes())
    raw[len(raw) * 2 // 3] ^= 1
    log.write_bytes(raw)
    (copied / "journal.sqlite-shm").unlink(missing_ok=True)
    with Journal.open(copied / path.name) as cut:
        found = list(cut.events())
        assert found == events[: len(found)]
        assert cut.lost() == len(events) - len(found) > 0
        cut.append("lesson", {})
        assert cut.lost() == 0, "what follows is acknowledged anew"


def test_a_clock_that_runs_backwards_changes_no_order(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter(["2026-01-02", "2026-01-01", "1970-01-01", "2025-01-01"])
    monkeypatch.setattr("train.journal.utc_now", lambda: next(times))
    written = [journal.append("lesson", {"n": n}) for n in range(4)]
    assert [event.id for event in written] == [1, 2, 3, 4]
    assert list(journal.events()) == written and journal.last() == written[-1]


def test_a_copy_made_while_in_use_is_a_prefix_or_refused(journal: Journal, path: Path) -> None:
    """File by file, with rows written in between, as a backup program does it."""
    opened = 0
    for number in range(30):
        copied = path.parent / f"copy{number}"
        copied.mkdir()
        files = [file for file in sorted(path.parent.iterdir()) if file.is_file()]
        for file in files[:: 1 if number % 2 else -1]:
            shutil.copyfile(file, copied / file.name)
            for n in range(number % 3):
                journal.append("lesson", {"n": n, "pad": "x" * 3000 * number})
        if number % 5 == 4:
            journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        events = list(journal.events())
        try:
            with Journal.open(copied / path.name) as copy:
                found = list(copy.events())
            assert found == events[: len(found)]
            opened += 1
        except ValueError as error:
            assert "damaged or unreadable" in str(error)
    assert opened > 10


def test_a_missing_event_is_damage(journal: Journal, path: Path) -> None:
    for _ in range(3):
        journal.append("lesson", {})
    journal._connection.executescript("DROP TRIGGER events_stay; DELETE FROM events WHERE id = 2")
    journal.close()
    with pytest.raises(ValueError, match="events up to 3 are missing"):
        Journal.open(path)


def test_a_flipped_bit_never_gives_another_life(journal: Journal, path: Path) -> None:
    life = [journal.append("lesson", {"n": n, "say": "word " * n}, say="hi") for n in range(30)]
    journal.close()
    whole = path.read_bytes()
    used = [place for place, byte in enumerate(whole) if byte]
    places = random.Random(7)
    refused = 0
    for place in places.sample(used, 150):
        flipped = whole[place] ^ (1 << places.randrange(8))
        path.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
        try:
            with Journal.open(path) as damaged:
                assert list(damaged.events()) == life, f"byte {place}"
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
        for extra in path.parent.glob("*-*"):
            extra.unlink()
    assert refused > 50


def _as_nobody() -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)


def test_reading_works_in_a_folder_that_forbids_writing() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = Path(name) / "model" / "journal.sqlite"
        with Journal.create(path) as journal:
            event = journal.append("birth", {})
            live = Path(name) / "live"
            shutil.copytree(path.parent, live)  # with its WAL, as a backup of a running model
            (live / "journal.sqlite-shm").unlink()
        for folder in (path.parent, live):
            for file in folder.iterdir():
                file.chmod(0o444)
            folder.chmod(0o555)
        _as_nobody()
        try:
            with Journal.open(path, read_only=True) as reader:
                assert list(reader.events()) == [event]
                with pytest.raises(ValueError, match="readonly database"):
                    reader.append("lesson", {})
            # Better refused than read without its newest events.
            with pytest.raises(ValueError, match="unable to open"):
                Journal.open(live / "journal.sqlite", read_only=True)
        finally:
            os.seteuid(user)
            path.parent.chmod(0o755)
            live.chmod(0o755)


def test_read_only_never_changes_the_file(journal: Journal, path: Path) -> None:
    journal.append("birth", {})
    with (
        Journal.open(path, read_only=True) as reader,
        pytest.raises(ValueError, match="could not be written"),
    ):
        reader.append("lesson", {})
    assert journal.count("lesson") == 0


def test_the_checksum_of_a_row_is_a_fixed_function() -> None:
    # Pinned: journals that were written long ago must stay readable.
    assert row_checksum((1, "2026-11-20T12:00:00.000+00:00", "birth", '{"a": 0.1}')) == (
        "b46b6cb04f5f42159e7e47116ee3be10fd53f02852497dbe6f1d3a49fffe7fa7"
    )
