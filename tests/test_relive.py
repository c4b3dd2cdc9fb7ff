"""A life lived again from its seed, and one carried through plain files, is the same life."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from lives import open_session, read_a_page
from safetensors.numpy import load_file

from serve.flags import parse
from serve.modes import run_mode
from train.flat_tree import flatten_tree, tree_digest
from train.life import open_life
from train.plain import export_life, revive_life
from train.relive import relive


@pytest.fixture(scope="module")
def life(tmp_path_factory, alice_text):
    """A life of a book, lessons, an undo and a redo, with several checkpoints."""
    life = read_a_page(tmp_path_factory.mktemp("relive"), alice_text)
    with open_session(life) as session:
        events = [session.say("Who?").teach(f"Number {n}.").event for n in range(3)]
        session.save()
        session.undo(session.plan_undo(event=events[1]))
        session.save()
        session.undo(session.plan_redo())
        session.say("And?").pick(1)
    return life


@pytest.fixture
def command(life, capfd):
    def run(*flags, workdir=life):
        code = run_mode(parse(["apprentice", f"--workdir={workdir}", *flags]))
        out, err = capfd.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return run


def state_of(workdir):
    with open_session(workdir, read_only=True) as session:
        events = [*session.life.journal.events()]
        return tree_digest(session.state.train), session.state.steps, session.context(), events


def test_a_replayed_life_is_equal_at_every_checkpoint(life, command, tmp_path):
    code, found, _ = command("--mode=replay", f"--into={tmp_path / 'again'}", "--json")
    *compared, summary = found
    assert code == 0
    assert summary["equal"] and summary["checkpoints"] == len(compared) >= 2
    assert summary["largest_difference"] == 0.0 and summary["changed_versions"] == {}
    assert state_of(tmp_path / "again") == state_of(life)
    with open_session(tmp_path / "again") as session, open_session(life, read_only=True) as first:
        assert session.say("Hello").replies == first.say("Hello").replies


def test_replay_never_writes_over_anything(command, tmp_path):
    (tmp_path / "mine").write_text("mine")
    code, _, err = command("--mode=replay", f"--into={tmp_path}", "--json")
    assert code == 1 and "name another" in err
    assert (tmp_path / "mine").read_text() == "mine"


def test_another_result_is_reported_with_the_largest_difference(life, tmp_path, monkeypatch):
    import train.replay

    honest = train.replay._APPLY["lesson"]

    def drifted(life, state, event):
        recipe = {
            **event.data["recipe"],
            "learning_rate": 1.5 * event.data["recipe"]["learning_rate"],
        }
        changed = dataclasses.replace(event, data={**event.data, "recipe": recipe})
        return honest(life, state, changed)

    monkeypatch.setitem(train.replay._APPLY, "lesson", drifted)
    with open_life(life, read_only=True) as first:
        found = list(relive(first, tmp_path / "again"))
    assert found[0].equal and not found[-1].equal
    assert 0 < found[-1].largest_difference < 0.1


def test_plain_files_hold_all_and_make_the_life_again(life, command, tmp_path):
    plain = tmp_path / "plain"
    code, (report,), _ = command("--mode=report", f"--export={plain}", "--json")
    assert code == 0
    names = {path.name for path in plain.iterdir()}
    assert names == {
        "events.jsonl", "weights.safetensors", "MANIFEST.json", "tokenizer.model", "context.txt",
        "books",
    }  # fmt: skip
    lines = [json.loads(line) for line in (plain / "events.jsonl").read_text().splitlines()]
    assert [line["data"] for line in lines] == [event.data for event in state_of(life)[3]]
    with open_session(life, read_only=True) as session:
        expected = flatten_tree(session.state.train)
        arrays = load_file(plain / "weights.safetensors")
        assert arrays.keys() == expected.keys()
        assert all(np.array_equal(arrays[name], leaf) for name, leaf in expected.items())
    code, _, _ = command(
        "--mode=revive", f"--exported={plain}", "--json", workdir=tmp_path / "back"
    )
    assert code == 0
    told = []
    with open_session(tmp_path / "back", say=told.append) as back:
        assert tree_digest(back.state.train) == report["sha256"]
        assert not told, "nothing is replayed: the weights came from the file"
        assert back.life.journal.search("Number")
    assert state_of(tmp_path / "back")[1:] == state_of(life)[1:]


@pytest.mark.parametrize("name", ["events.jsonl", "weights.safetensors", "tokenizer.model"])
def test_damaged_plain_files_make_no_life(life, tmp_path, name):
    with open_session(life, read_only=True) as session:
        export_life(session.life, session.state, tmp_path / "plain")
    raw = bytearray((tmp_path / "plain" / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "plain" / name).write_bytes(raw)
    with pytest.raises(ValueError, match=f"{name} is damaged"):
        revive_life(tmp_path / "plain", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_report_says_what_is_damaged(life, command, tmp_path):
    workdir = tmp_path / "life"
    shutil.copytree(life, workdir)
    _, (report,), _ = command("--mode=report", "--json", workdir=workdir)
    assert report["damage"] == []
    book, *_ = (workdir / "books").iterdir()
    checkpoint = workdir / "checkpoints" / str(report["checkpoints"][0])
    array = max(checkpoint.rglob("*"), key=lambda path: path.is_file() and path.stat().st_size)
    for path in (book, array):
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 4
        path.write_bytes(raw)
    code, (hurt,), _ = command("--mode=report", "--json", workdir=workdir)
    assert code == 0 and hurt["sha256"] == report["sha256"]
    first, second = hurt["damage"]
    assert str(checkpoint) in first and str(book) in second
    assert hurt["books"] == [{"book": book.stem[:12], "held_out_bits_per_byte": None}]
    (workdir / "journal.head").write_text(f"{99:020d} {99:020d}\n")
    _, (cut,), err = command("--mode=report", "--json", workdir=workdir)
    assert "acknowledged events after event" in cut["damage"][0] and "damaged at its end" in err


def test_an_undo_by_flags_says_what_it_did(life, command, tmp_path):
    workdir = tmp_path / "life"
    shutil.copytree(life, workdir)
    code, (undone,), err = command("--mode=undo", "--lessons=2", "--json", workdir=workdir)
    assert code == 0 and "about" in err
    assert undone["event"] == "undo" and undone["lessons"] == 2
    assert undone["sha256"] == state_of(workdir)[0]
    code, _, err = command("--mode=undo", f"--event={undone['undone'][0]}", workdir=workdir)
    assert code == 1 and "undone already" in err
    code, (redone,), _ = command(
        "--mode=undo", f"--event={undone['id']}", "--json", workdir=workdir
    )
    assert code == 0 and redone["lessons"] == 4
    assert redone["sha256"] == state_of(life)[0]


def test_more_than_was_named_goes_only_with_yes(life, command, tmp_path):
    workdir = tmp_path / "life"
    shutil.copytree(life, workdir)
    with open_session(workdir) as session:
        grow = session.life.journal.append("grow", {})
        session.state = session.state._replace(event=grow.id)
        session.say("Then?").teach("Now.")
    before = state_of(workdir)
    code, _, err = command("--mode=undo", f"--event={grow.id}", workdir=workdir)
    assert code == 1 and "1 × lesson, 1 × replies would be taken back with it" in err
    assert state_of(workdir) == before
    code, (undone,), _ = command(
        "--mode=undo", f"--event={grow.id}", "--yes", "--json", workdir=workdir
    )
    assert code == 0 and undone["undone"] == [grow.id, grow.id + 1, grow.id + 2]
    assert undone["sha256"] == state_of(life)[0]
