"""The program as its users run it: flags, exit codes, and sentences for bad input."""

import json
import shutil
import signal
import subprocess
import sys
import time

import pytest
from lives import open_session, read_a_page

from serve.flags import UsageError, help_text, parse
from serve.modes import run_mode
from train.flat_tree import tree_digest
from train.journal import Journal

PROGRAM = [sys.executable, "-m", "serve.main"]


@pytest.fixture(scope="module")
def born(tmp_path_factory, alice_text):
    """A life that has read a page, and the page."""
    return read_a_page(tmp_path_factory.mktemp("born"), alice_text).parent


@pytest.fixture
def folder(born, tmp_path):
    shutil.copytree(born, tmp_path / "folder")
    return tmp_path / "folder"


@pytest.fixture
def command(folder, capfd):
    """Runs flags in this process and returns exit code, standard output and standard error."""

    def run(*flags, workdir=folder / "life"):
        code = run_mode(parse(["apprentice", f"--workdir={workdir}", *flags]))
        out, err = capfd.readouterr()
        return code, out, err

    return run


def objects(out):
    return [json.loads(line) for line in out.splitlines()]


def snapshot(workdir):
    """The content of every file but SQLite's own bookkeeping of who has it open."""
    return {
        path.relative_to(workdir): path.read_bytes()
        for path in sorted(workdir.rglob("*"))
        if path.is_file() and not path.name.endswith(("-shm", "-wal")) and path.name != "lock"
    }


def test_help_lists_our_flags_with_defaults():
    text = help_text()
    for flag in ("--workdir", "--book", "--epochs", "--temperature       of sampling"):
        assert flag in text
    assert "(0.7)" in text and "Exit codes: 0 done" in text


def test_help_needs_nothing_heavy():
    code = (
        "import sys; sys.argv = ['apprentice', '--help']\n"
        "import serve.main\n"
        "try:\n    serve.main.run()\n"
        "except SystemExit as e:\n    assert e.code == 0\n"
        "heavy = {'jax', 'flax', 'orbax', 'numpy', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("flags", [
    ["--nosuch=1"], ["--mode=fly"], ["--epochs=many"], ["book.txt"], ["--dtype=int8"],
])  # fmt: skip
def test_flags_that_make_no_sense_are_usage_errors(flags):
    with pytest.raises(UsageError):
        parse(["apprentice", *flags])
    done = subprocess.run([*PROGRAM, *flags], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("apprentice: ") and done.stdout == ""


def test_report_is_one_object(command, folder):
    code, out, _ = command("--mode=report", "--json")
    assert code == 0
    (report,) = objects(out)
    assert set(report) == {
        "event",
        "size",
        "parameters",
        "lessons",
        "steps",
        "sha256",
        "disk",
        "damage",
        "checkpoints",
        "books",
        "retention",
    }
    with open_session(folder / "life", read_only=True) as session:
        assert report["sha256"] == tree_digest(session.state.train)
        assert report["steps"] == session.state.steps
    assert [book["book"] for book in report["books"]] == ["page"]
    assert report["books"][0]["held_out_bits_per_byte"] > 0


def test_a_script_says_picks_and_teaches(command, folder):
    lines = [
        {"say": "Hello"},
        {"say": "Hello", "pick": 2},
        {"say": "Who are you?", "teach": "I am yours."},
    ]
    script = folder / "talk.jsonl"
    script.write_text("\n".join(json.dumps(line) for line in lines))
    flags = (f"--script={script}", "--json", "--replies=3", "--max_new_tokens=6")
    code, out, _ = command("--mode=interactive", "--learning_rate=0.01", *flags)
    assert code == 0
    found = objects(out)
    kinds = [item["event"] for item in found]
    assert kinds == ["replies", "replies", "lesson", "replies", "lesson"]
    assert len(found[0]["replies"]) == 3
    pick, teach = found[2], found[4]
    assert pick["answer"] == found[1]["replies"][1]["text"] and pick["kind"] == "pick"
    assert teach["answer"] == "I am yours." and teach["kind"] == "teach"
    for lesson in (pick, teach):
        assert lesson["loss_after"] < lesson["loss_before"]
        assert lesson["p_after"] > lesson["p_before"]


def test_plain_lines_on_standard_input_converse(folder):
    done = subprocess.run(
        [*PROGRAM, f"--workdir={folder / 'life'}", "--mode=interactive", "--max_new_tokens=4"],
        input="Hello\n2\nWho?\nI am yours.\n/report\n/nosuch\n/lr 7\n/context\n/quit\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "picked | loss" in done.stdout and "typed | loss" in done.stdout
    assert "There is no /nosuch" in done.stdout and "/lr wants a number" in done.stdout
    assert "assistant: I am yours." in done.stdout and "lessons     2" in done.stdout


def test_reading_from_the_command_line_and_again(command, folder, tmp_path, alice_text):
    book = tmp_path / "other.txt"
    book.write_text(alice_text[30_000:32_000])
    flags = ("--mode=book", f"--book={book}", "--json", "--warmup_steps=2")
    code, out, _ = command(*flags)
    assert code == 0
    found = objects(out)
    assert found[0]["event"] == "read" and found[-1]["event"] == "book"
    keys = {"event", "book", "step", "tokens", "loss_bits_per_byte", "tokens_per_second"}
    assert set(found[0]) == keys
    assert set(found[-1]["held_out"]) == {"page", "other"}
    before = snapshot(folder / "life")
    code, out, err = command(*flags)
    assert code == 0 and "read already" in err
    assert objects(out) == [found[-1]]
    assert snapshot(folder / "life") == before


BOOK, TALK = "--mode=book", "--mode=interactive"
# Name -> flags, where {} is the folder of the files, and the words that the sentence must hold.
BAD_INPUTS = {
    "no book": ([BOOK], "got none"),
    "missing book": ([BOOK, "--book={}/none.txt"], "none.txt"),
    "empty book": ([BOOK, "--book={}/empty.txt"], "empty.txt"),
    "blank book": ([BOOK, "--book={}/blank.txt"], "blank.txt"),
    "binary book": ([BOOK, "--book={}/binary.txt"], "binary.txt"),
    "other size": ([TALK, "--size=50m"], "has d_model 24, the flags want 640"),
    "other context": ([TALK, "--context=128"], "has context 64, the flags want 128"),
    "other seed": ([TALK, "--seed=5"], "was born with seed 0"),
    "script not JSON": ([TALK, "--script={}/not.jsonl"], "line 1 of"),
    "pick seven": ([TALK, "--script={}/pick.jsonl"], "picks reply 7, want 1 to 5"),
    "pick and teach": ([TALK, "--script={}/both.jsonl"], 'one of "pick" or "teach"'),
    "no script": ([TALK, "--script={}/none.jsonl"], "could not be read"),
    "no epochs": ([BOOK, "--book={}/page.txt", "--epochs=0"], "epochs must be"),
    "bad rate": ([BOOK, "--book={}/page.txt", "--learning_rate=-1"], "learning_rate"),
    "less than no rest": ([TALK, "--rest_updates=-1"], "rest_updates must be at least 0"),
    "no heat": ([TALK, "--temperature=-1"], "temperature must be at least 0"),
    "no mass": ([TALK, "--top_p=0"], "top_p must be in"),
}
BAD_FILES = {
    "empty.txt": b"",
    "blank.txt": b" \n\n ",
    "binary.txt": b"abc\0def" * 50,
    "not.jsonl": b"{'say'}\n",
    "pick.jsonl": b'{"say": "a", "pick": 1}\n{"say": "b", "pick": 7}\n',
    "both.jsonl": b'{"say": "a", "pick": 1, "teach": "x"}\n',
}


@pytest.mark.parametrize("name", list(BAD_INPUTS))
def test_bad_input_gets_a_sentence_and_changes_nothing(name, command, folder):
    for file, content in BAD_FILES.items():
        (folder / file).write_bytes(content)
    flags, words = BAD_INPUTS[name]
    flags = [flag.format(folder) for flag in flags]
    before = snapshot(folder / "life")
    code, out, err = command(*flags, "--json")
    assert code == 1 and out == ""
    assert words in err
    assert len(err.strip().splitlines()) == 1 and "Traceback" not in err
    assert snapshot(folder / "life") == before


def test_a_folder_that_is_no_model_is_left_alone(command, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("Dear Ada")
    book = tmp_path / "mine" / "letter.txt"
    for flags, words in [
        (["--mode=book", f"--book={book}"], "empty folder"),
        (["--mode=interactive"], "is not a model folder"),
        (["--mode=report"], "is not a model folder"),
    ]:
        code, _, err = command(*flags, workdir=tmp_path / "mine")
        assert code == 1 and words in err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_a_bad_book_begins_no_new_model(command, tmp_path):
    code, _, _ = command("--mode=book", f"--book={tmp_path}/none", workdir=tmp_path / "new")
    assert code == 1 and not (tmp_path / "new").exists()


def test_a_second_writer_is_refused_and_a_reader_is_not(command, folder):
    with open_session(folder / "life"):
        code, _, err = command("--mode=interactive")
        assert code == 1 and "open for writing in process" in err
        code, out, _ = command("--mode=report", "--json")
        assert code == 0 and objects(out)[0]["event"] == "report"


@pytest.mark.parametrize(("name", "words"), [
    ("tokenizer.model", "tokenizer"), ("journal.sqlite", "journal"),
])  # fmt: skip
def test_a_damaged_file_is_named(command, folder, name, words):
    path = folder / "life" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 4 : -len(data) // 4] = b"\x55" * (len(data) // 2)
    path.write_bytes(data)
    code, _, err = command("--mode=report")
    assert code == 1 and words in err and "Traceback" not in err


def test_a_damaged_checkpoint_costs_only_time(command, folder):
    _, out, _ = command("--mode=report", "--json")
    digest = objects(out)[0]["sha256"]
    # A slow machine makes one in the middle of the book, too.
    newest = max((folder / "life" / "checkpoints").iterdir(), key=lambda path: int(path.name))
    victim = max(
        (path for path in newest.rglob("*") if path.is_file()), key=lambda p: p.stat().st_size
    )
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    code, out, err = command("--mode=report", "--json")
    assert code == 0 and objects(out)[0]["sha256"] == digest
    assert "Going on from an older one and the journal" in err


def test_ctrl_c_saves_and_the_same_command_goes_on(born, tmp_path, alice_text):
    """Two lives read the same book, one of them interrupted twice: the same bits."""
    book = tmp_path / "book.txt"
    # Long enough that both interruptions fall into its reading.
    book.write_text(alice_text[10_000:130_000])
    digests = []
    for name, interruptions in [("whole", 0), ("stopped", 2)]:
        workdir = tmp_path / name
        shutil.copytree(born / "life", workdir)
        flags = [f"--workdir={workdir}", "--mode=book", f"--book={book}", "--json"]
        for _ in range(interruptions):
            process = subprocess.Popen(
                [*PROGRAM, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            wait_for_reading(workdir)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=300)
            assert process.returncode == 130, err
            assert "the same command goes on" in err
        assert run_mode(parse(["apprentice", *flags])) == 0
        with open_session(workdir, read_only=True) as session:
            digests.append(tree_digest(session.state.train))
    assert digests[0] == digests[1]


def wait_for_reading(workdir):
    """The pass of a book has been opened in the journal after this process looked."""

    def opened():
        with Journal.open(workdir / "journal.sqlite", read_only=True) as journal:
            return journal.count("open") + journal.count("read")

    first, deadline = opened(), time.monotonic() + 60
    while opened() == first and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
