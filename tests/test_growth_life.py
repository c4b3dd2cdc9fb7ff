"""Growth as an event of a life: proven, saved, replayed to the bit, and refused in a sentence."""

import json
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from conftest import small_config
from lives import READING, new_life, open_session, write_book
from nbclient import NotebookClient
from traitlets.config import Config

import train.growth
from grow.plan import flops_per_token, plan_growth
from model.axes import count_parameters
from model.config import new_config
from serve.flags import UsageError, parse
from serve.modes import run_mode
from train.flat_tree import tree_digest
from train.reading_plan import next_pass
from train.replay import apply_events, newborn, training_events

GROWTH = ("--mode=grow", "--width=1.5", "--depth=1.5", "--heads=2", "--context=2")


@pytest.fixture(scope="module")
def born(tmp_path_factory, alice_text):
    """A life that has read some windows of a page."""
    folder = tmp_path_factory.mktemp("grown")
    new_life(folder / "life", alice_text)
    book = write_book(folder, alice_text, start=2000)
    with open_session(folder / "life") as session:
        list(session.read([book], READING.__class__(**{**vars(READING), "steps": 8})))
    return folder


@pytest.fixture(scope="module")
def grown(born, tmp_path_factory):
    """A copy of that life, grown on all four axes from the command line."""
    folder = tmp_path_factory.mktemp("after") / "folder"
    shutil.copytree(born, folder)
    assert run_mode(parse(["apprentice", f"--workdir={folder / 'life'}", *GROWTH, "--json"])) == 0
    return folder


@pytest.fixture
def command(born, tmp_path, capfd):
    """Runs flags on a copy of the young life; exit code, standard output, standard error."""
    shutil.copytree(born, tmp_path / "folder")

    def run(*flags):
        code = run_mode(parse(["apprentice", f"--workdir={tmp_path / 'folder' / 'life'}", *flags]))
        return code, *capfd.readouterr()

    return run


def digest(workdir):
    with open_session(workdir, read_only=True) as session:
        return tree_digest(session.state.train), session.state.event


def relived(life):
    """The state that all events of a life lead to from its birth."""
    return apply_events(life, newborn(life), training_events(life))


def test_a_growth_is_proven_kept_and_comes_back_without_a_checkpoint(grown, tmp_path):
    shutil.copytree(grown, tmp_path / "copy")
    life = tmp_path / "copy" / "life"
    expected = digest(life)
    with open_session(life, read_only=True) as session:
        (event,) = session.life.journal.events(kinds=("grow",))
        assert event.data["greedy_identical"] and event.data["greedy_tokens_compared"] >= 2000
        model = session.state.config.model
        assert (model.d_model, model.n_layers, model.n_kv_heads, model.context) == (36, 3, 4, 128)
        replayed = relived(session.life)
        assert tree_digest(replayed.train) == expected[0]
        assert replayed.config == session.state.config
    shutil.rmtree(life / "checkpoints")
    assert digest(life) == expected


def test_a_life_that_read_says_the_same_through_the_cached_decoder(grown):
    """2,016 greedy tokens before and after a growth on all axes at once, in float32."""
    with open_session(grown / "life", read_only=True) as session:
        (event,) = session.life.journal.events(kinds=("grow",))
    data = event.data
    assert data["greedy_identical"] and data["greedy_tokens_compared"] == 2016
    assert data["max_logit_difference"] <= 2e-6 * data["largest_logit"] + 1e-6
    # Text can only be promised where no two tokens are closer than rounding.
    assert data["smallest_top2_gap"] > 2 * data["max_logit_difference"]


def test_the_notebook_shows_a_growth(grown, monkeypatch):
    monkeypatch.setenv("APPRENTICE_WORKDIR", str(grown / "life"))
    book = nbformat.read(Path(__file__).parents[1] / "notebooks" / "growth.ipynb", as_version=4)
    NotebookClient(book, config=Config(KernelManager={"transport": "ipc"}), timeout=120).execute()
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    text = "".join(output.text for output in outputs if output.output_type == "stream")
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert "d_model             24 → 36" in text and "blocks/2/mlp/down" in text
    assert shown.count("image/png") == 2 and shown.count("text/html") >= 3


def test_life_goes_on_after_a_growth_and_is_replayed_to_the_bit(grown, tmp_path):
    shutil.copytree(grown, tmp_path / "copy")
    life = tmp_path / "copy" / "life"
    from train.books import load_book

    book = load_book(tmp_path / "copy" / "page.txt")
    with open_session(life) as session:
        due = next_pass(session.life, [[book]], READING, session.state.config.model.context)
        # The longer windows are other windows: the interrupted pass begins anew.
        assert due is not None and (due.number, due.first) == (0, 0)
        list(session.read([book], READING))
        session.say("Hello").teach("I am yours.")
        assert next_pass(session.life, [[book]], READING, 128) is None
        after = tree_digest(session.state.train)
        replayed = relived(session.life)
    assert tree_digest(replayed.train) == after


def test_a_growth_is_undone_with_what_stands_on_it_and_comes_back(grown, born, tmp_path, capfd):
    shutil.copytree(grown, tmp_path / "copy")
    workdir = tmp_path / "copy" / "life"
    with open_session(workdir) as session:
        session.say("Hello").teach("I am yours.")
        (event,) = session.life.journal.events(kinds=("grow",))
        whole = tree_digest(session.state.train)
    wanted = ["apprentice", "--mode=undo", f"--workdir={workdir}", f"--event={event.id}"]
    assert run_mode(parse(wanted)) == 1
    assert "1 × lesson, 1 × replies would be taken back" in capfd.readouterr().err
    assert digest(workdir)[0] == whole
    assert run_mode(parse([*wanted, "--yes"])) == 0
    assert digest(workdir)[0] == digest(born / "life")[0]
    with open_session(workdir) as session:
        assert session.state.config.model.d_model == 24
        session.undo(session.plan_redo())
        assert tree_digest(session.state.train) == whole


def test_the_plan_is_shown_and_nothing_is_made(command, tmp_path):
    life = tmp_path / "folder" / "life"
    before = digest(life)
    code, out, _ = command(*GROWTH, "--dry_run", "--json")
    (plan,) = (json.loads(line) for line in out.splitlines())
    assert code == 0 and digest(life) == before
    assert plan["event"] == "plan"
    assert plan["sizes"]["d_model"] == {"before": 24, "after": 36}
    assert plan["state_bytes"] == 12 * plan["parameters_after"]
    assert plan["seconds_per_step_after"] > plan["seconds_per_step_before"] > 0


def test_noise_is_said_to_cost(command):
    code, out, _ = command("--mode=grow", "--width=1.5", "--noise=0.5", "--json")
    (record,) = (json.loads(line) for line in out.splitlines())
    assert code == 0 and record["noise"] == 0.5
    assert record["max_logit_difference"] > 1e-3
    bits = record["held_out_bits_per_byte"]
    assert bits["before"] != bits["after"]


@pytest.mark.parametrize(("flags", "words"), [
    ([], "growing needs a ratio or a larger size"),
    (["--d_model=12"], "d_model is 24 and cannot shrink to 12"),
    (["--width=0.5"], "width is a ratio from 1 to 64, got 0.5"),
    (["--depth=1.3"], "depth 1.3 would make n_layers 2.6.* nearest ratios that fit are 1 and 1.5"),
    (["--heads=1.25"], "n_kv_heads 2.5"),
    (["--width=1.1"], "d_model 26.4 and d_ff 44, .* fit are 1 and 1.125"),
    (["--context=256"], "context is a ratio from 1 to 64, got 256"),
    (["--head_dim=8"], "growth can change .* got head_dim"),
    (["--width=2", "--noise=-1"], "noise must be"),
])  # fmt: skip
def test_what_cannot_grow_is_refused_in_a_sentence(command, tmp_path, flags, words):
    before = digest(tmp_path / "folder" / "life")
    code, out, err = command("--mode=grow", "--json", *flags)
    assert code == 1 and out == ""
    assert len(err.splitlines()) == 1
    import re

    assert re.search(words, err), err
    assert digest(tmp_path / "folder" / "life") == before


@pytest.mark.parametrize("lacking", ["disk", "memory"])
def test_a_result_without_room_is_refused_with_what_it_needs(
    command, tmp_path, monkeypatch, lacking
):
    before = digest(tmp_path / "folder" / "life")
    if lacking == "disk":
        usage = shutil.disk_usage(tmp_path)._replace(free=1000)
        monkeypatch.setattr(train.growth.shutil, "disk_usage", lambda _: usage)
    else:
        monkeypatch.setattr(train.growth, "available_bytes", lambda: 1000)
    code, _, err = command("--mode=grow", "--width=2")
    assert code == 1
    assert "GB" in err or "MB" in err
    assert lacking in err
    monkeypatch.undo()
    assert digest(tmp_path / "folder" / "life") == before


def test_growth_waits_for_no_other_writer(command, tmp_path):
    with open_session(tmp_path / "folder" / "life"):
        code, _, err = command("--mode=grow", "--width=2")
    assert code == 1 and "is open for writing in process" in err


def test_a_proof_that_fails_leaves_the_folder_as_it_was(command, tmp_path, monkeypatch):
    before = digest(tmp_path / "folder" / "life")
    real = train.growth.grow
    monkeypatch.setattr(
        train.growth, "grow", lambda *args, **kw: real(*args, **{**kw, "noise": 0.5})
    )
    code, _, err = command("--mode=grow", "--width=2")
    assert code == 1 and "moved a logit by" in err
    assert digest(tmp_path / "folder" / "life") == before


def test_flags_of_growth_belong_to_growth():
    with pytest.raises(UsageError, match="--width belongs to --mode=grow"):
        parse(["apprentice", "--mode=book", "--width=2"])


def test_a_plan_counts_what_is_made():
    old = new_config("10m")
    plan = plan_growth(old, {"width": 2, "ffn": 1.5, "groups": 2, "depth": 1.5}, {"context": 512})
    new = plan.new
    assert (new.d_model, new.d_ff, new.n_kv_heads, new.n_query_groups) == (640, 1344, 5, 2)
    assert (new.n_layers, new.context) == (9, 512)
    assert plan.parameters_after == count_parameters(new)
    np.testing.assert_allclose(plan.step_ratio, flops_per_token(new) / flops_per_token(old))
    assert 2 < plan.step_ratio < 6
    alone = plan_growth(small_config(), {"context": 2})
    assert "no head will look back further than 16 tokens" in alone.remark
