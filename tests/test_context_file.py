"""The conversation in the prompt and the journal tell the same, whatever cuts them apart."""

import shutil
from pathlib import Path

import pytest
from lives import new_life, open_session

from train.effective import undone_events
from train.talk import Talk


@pytest.fixture(scope="module")
def born(tmp_path_factory, alice_text):
    """A life with two exchanges."""
    folder = tmp_path_factory.mktemp("born")
    new_life(folder / "life", alice_text)
    with open_session(folder / "life") as session:
        session.say("Who?").teach("Alice.")
        session.say("Where?").teach("At home.")
    return folder / "life"


@pytest.fixture
def workdir(born, tmp_path):
    shutil.copytree(born, tmp_path / "life")
    return tmp_path / "life"


CHANGES = {
    "lesson": lambda session: session.say("And?").teach("Yes."),
    "undo": lambda session: session.undo(session.plan_undo(lessons=1)),
    "forget": lambda session: session.forget_context(),
}


def told(session):
    """What the journal says that the conversation is."""
    journal = session.life.journal
    return list(Talk(journal, session.life.tokenizer).contexts(undone_events(journal))[1])


def names(workdir):
    return [path.name for path in workdir.iterdir() if "context" in path.name]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("read_only", [False, True])
def test_a_crash_between_row_and_file_loses_no_words(workdir, monkeypatch, change, read_only):
    class CrashError(Exception):
        pass

    replace = Path.replace

    def crash(self, target):
        if self.name.startswith(".context"):
            raise CrashError
        return replace(self, target)

    session = open_session(workdir)
    before = session.context()
    with monkeypatch.context() as patch:
        # The text is on the disk and the row is written; the file does not get its name.
        patch.setattr(Path, "replace", crash)
        with pytest.raises(CrashError):
            CHANGES[change](session)
    session.life.close()
    with open_session(workdir, read_only=read_only) as again:
        assert again.context() == told(again) != before
    if not read_only:
        assert names(workdir) == ["context.txt"]


@pytest.mark.parametrize("change", CHANGES)
def test_a_row_that_was_not_written_changes_no_words(workdir, monkeypatch, change):
    def refuse(*_, **__):
        raise ValueError("the journal could not be written: disk full")

    with open_session(workdir) as session:
        before = session.life.context_file.read_text()
        turn = session.say("And?")
        with monkeypatch.context() as patch, pytest.raises(ValueError, match="disk full"):
            patch.setattr(type(session.life.journal), "append", refuse)
            turn.teach("Yes.") if change == "lesson" else CHANGES[change](session)
        assert session.life.context_file.read_text() == before
    assert names(workdir) == ["context.txt"]


def test_an_exchange_that_the_owner_takes_out_stays_out(workdir):
    with open_session(workdir) as session:
        session.life.context_file.write_text("user: Who?\nassistant: Alice.\n")
    with open_session(workdir) as again:
        assert [message.text for message in again.context()] == ["Who?", "Alice."]


def test_words_of_an_event_that_never_came_are_thrown_away(workdir):
    with open_session(workdir) as session:
        coming = session.state.event + 1
    (workdir / f".context.{coming}.next").write_text("user: never said\n")
    with open_session(workdir) as again:
        assert again.context() == told(again)
    assert names(workdir) == ["context.txt"]
