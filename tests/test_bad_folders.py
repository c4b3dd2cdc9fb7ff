"""Folders that were copied, moved, or lie on a disk that cannot be written; and wrong clocks."""

import datetime
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from lives import open_session, read_a_page

from serve.flags import parse
from serve.modes import run_mode
from train.flat_tree import tree_digest


@pytest.fixture(scope="module")
def life(tmp_path_factory, alice_text):
    """A life with a book and a lesson after its last checkpoint."""
    life = read_a_page(tmp_path_factory.mktemp("bad"), alice_text)
    with open_session(life) as session:
        session.say("Who?").teach("Alice.")
        assert session.state.owed is None
        session._autosave.unsaved = 0.0
    return life


@pytest.fixture
def command(capfd):
    def run(workdir, *flags):
        code = run_mode(parse(["apprentice", f"--workdir={workdir}", "--replies=2", *flags]))
        out, err = capfd.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return run


def test_a_folder_copied_while_in_use_is_a_prefix_or_refused(life, tmp_path):
    """File by file, with lessons and checkpoints in between, as a backup program does it."""
    shutil.copytree(life, tmp_path / "life")
    opened = 0
    with open_session(tmp_path / "life") as session:
        digests = {session.state.event: tree_digest(session.state.train)}

        def live_on(number):
            turn = session.say("Where?")
            digests[session.state.event] = tree_digest(session.state.train)
            turn.teach(f"Here, {number}.")
            digests[session.state.event] = tree_digest(session.state.train)
            if number % 2:
                session.save()

        for number in range(4):
            files = [path for path in sorted(session.life.workdir.rglob("*")) if path.is_file()]
            files = files[:: 1 if number % 2 else -1]
            for place, file in enumerate(files):
                copied = tmp_path / str(number) / file.relative_to(session.life.workdir)
                copied.parent.mkdir(parents=True, exist_ok=True)
                if file.exists():
                    shutil.copyfile(file, copied)
                if place % (len(files) // 2) == 1:
                    live_on(number)
            try:
                with open_session(tmp_path / str(number)) as copy:
                    assert digests[copy.state.event] == tree_digest(copy.state.train)
                    opened += 1
            except ValueError as error:
                assert "restore it from a copy" in str(error)
    assert opened >= 2


def test_a_folder_from_another_machine_goes_on_and_says_so(life, tmp_path, command, monkeypatch):
    shutil.copytree(life, tmp_path / "life")
    monkeypatch.setattr("train.versions._cpuinfo", lambda field: f"another {field}")
    told = []
    with open_session(tmp_path / "life", say=told.append) as session:
        session.say("Where?").teach("Here.")
    warning = "this model was born with another processor, features;"
    assert any(sentence.startswith(warning) for sentence in told)
    code, found, _ = command(
        tmp_path / "life", "--mode=replay", f"--into={tmp_path / 'again'}", "--json"
    )
    assert code == 0 and set(found[-1]["changed_versions"]) == {"processor", "features"}


def test_a_clock_that_runs_backwards_changes_nothing(life, tmp_path, monkeypatch):
    found = []
    for name, step in (("forwards", 1), ("backwards", -1)):
        shutil.copytree(life, tmp_path / name)
        now = [datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)]

        def clock(now=now, step=step):
            now[0] += datetime.timedelta(days=step)
            return now[0].isoformat()

        monkeypatch.setattr("train.journal.utc_now", clock)
        with open_session(tmp_path / name) as session:
            first = session.say("Where?").teach("Here.")
            session.save()
            session.say("When?").teach("Now.")
            session.undo(session.plan_undo(event=first.event))
        with open_session(tmp_path / name) as again:
            found.append((tree_digest(again.state.train), again.context()))
    assert found[0] == found[1]


def test_on_a_disk_that_cannot_be_written_talking_works_and_teaching_refuses(life, command):
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        workdir = Path(name) / "life"
        shutil.copytree(life, workdir)
        talk, lesson = Path(name) / "talk", Path(name) / "lesson"
        talk.write_text('{"say": "Hello"}\n')
        lesson.write_text('{"say": "Hello", "pick": 1}\n')
        for path in (*workdir.rglob("*"), workdir):
            path.chmod(0o555 if path.is_dir() else 0o444)
        if user == 0:
            os.seteuid(65534)
        try:
            code, (replies,), err = command(
                workdir, "--mode=interactive", f"--script={talk}", "--json"
            )
            assert code == 0 and len(replies["replies"]) == 2
            assert "Talking works, but nothing can be taught" in err
            code, _, err = command(workdir, "--mode=interactive", f"--script={lesson}", "--json")
            assert code == 1 and "only reads; open the folder for writing to teach" in err
            code, (report,), _ = command(workdir, "--mode=report", "--json")
            assert code == 0 and report["lessons"] == 1 and report["damage"] == []
            code, _, err = command(workdir, "--mode=undo")
            assert code == 1 and "cannot be opened for writing" in err
        finally:
            os.seteuid(user)
            for path in (workdir, *workdir.rglob("*")):
                path.chmod(0o755)
