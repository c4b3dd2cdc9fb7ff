"""A state on the disk has the same bits as one in memory, whatever happens to it."""

import dataclasses
import shutil
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_batch, small_config
from lives import READING, new_life, open_session, tiny_config, write_book
from safetensors.numpy import load_file

from grow.plan import plan_growth
from serve.flags import parse
from serve.modes import run_mode
from train import lanes
from train.disk_store import Disk
from train.flat_tree import flatten_tree, tree_digest
from train.generation import DiskArray
from train.optimizer import OptimizerConfig
from train.plain import export_life
from train.replay import restore_without
from train.residency import Residency, copy_bytes, least_bytes
from train.state import abstract_state, init_state
from train.step import StepConfig, batch_losses, train_step_losses
from train.store import StoreConfig, in_memory, on_disk, parts_of

NOTHING, COPIES, EVERYTHING = None, "copies", 2**40


def config_of(dtype="bfloat16", **sizes) -> StepConfig:
    return StepConfig(small_config(**sizes), OptimizerConfig(), jnp.dtype(dtype))


def both(folder, config, memory):
    """The same newborn state in memory and on the disk."""
    state, same = (init_state(config.model, config.optimizer, jax.random.key(0)) for _ in "ab")
    disk = Disk(folder, config.dtype, memory, writes=True)
    abstract = abstract_state(config.model, config.optimizer)
    return state, on_disk(disk, abstract, parts_of(same)), disk


@pytest.mark.parametrize("memory", [NOTHING, COPIES, EVERYTHING])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_steps_give_the_same_bits(tmp_path, dtype, memory, monkeypatch):
    # The memory of these small arrays is used again too.
    monkeypatch.setattr(lanes, "REUSED_BYTES", 0)
    config = config_of(dtype, n_layers=4)
    if memory == COPIES:
        abstract = abstract_state(config.model, config.optimizer)
        memory = least_bytes(abstract) + copy_bytes(abstract.params, config.dtype)
        assert Residency.within(memory, abstract, config.dtype) == (True, frozenset())
    ram, disk, _ = both(tmp_path, config, memory)
    assert tree_digest(ram) == tree_digest(disk)
    for seed in range(3):
        batch = random_batch(config.model, seed=seed)
        ram, loss, _ = train_step_losses(ram, batch, 1e-2, config)
        disk, loss_on_disk, _ = train_step_losses(disk, batch, 1e-2, config)
        assert float(loss) == float(loss_on_disk)
    assert tree_digest(ram) == tree_digest(disk)
    losses = [batch_losses(state.params, batch, config) for state in (ram, disk)]
    assert jnp.array_equal(*losses)


def live(workdir, folder, text, store):
    """The digests of a life after reading, lessons, growth, a start anew and undos."""
    new_life(workdir, text)
    book = write_book(folder, text, start=2000)
    digests = []
    with open_session(workdir, store=store) as session:
        list(session.read([book], dataclasses.replace(READING, steps=6)))
        digests.append(tree_digest(session.state.train))
        session.say("Hello").teach("Good day!")
        session.save()
        session.say("Who are you?").pick(1)
        digests.append(tree_digest(session.state.train))
        plan = plan_growth(session.state.config.model, {"width": 2, "depth": 2, "heads": 2})
        session.grow(plan)
        digests.append(tree_digest(session.state.train))
        session.say("Hello").teach("Good evening!")
    with open_session(workdir, store=store) as session:
        digests.append(tree_digest(session.state.train))
        session.undo(session.plan_undo(lessons=1))
        digests.append(tree_digest(session.state.train))
        session.say("Bye").teach("Bye!")
        digests.append(tree_digest(session.state.train))
    return digests


def test_a_life_has_the_same_bits(tmp_path, alice_text):
    stores = [StoreConfig(kind="ram"), StoreConfig(kind="disk")]
    lives = []
    for store in stores:
        folder = tmp_path / store.kind
        folder.mkdir()
        lives.append(live(folder / "life", folder, alice_text, store))
    assert lives[0] == lives[1]
    assert len(set(lives[0])) == 5


DISK = StoreConfig(kind="disk")


@pytest.fixture(scope="module")
def taught(tmp_path_factory, alice_text):
    """A life on the disk with two generations, each after a lesson, and their digests."""
    folder = tmp_path_factory.mktemp("taught") / "life"
    new_life(folder, alice_text)
    digests = []
    with open_session(folder, store=DISK) as session:
        for answer in ("Good day!", "Good evening!"):
            session.say("Hello").teach(answer)
            session.save()
            digests.append(tree_digest(session.state.train))
    return folder, digests


@pytest.fixture
def workdir(taught, tmp_path):
    shutil.copytree(taught[0], tmp_path / "life")
    return tmp_path / "life"


def generations(workdir):
    return sorted(int(path.parent.name) for path in workdir.glob("checkpoints/*/records"))


def test_a_generation_is_a_checkpoint_and_two_are_kept(workdir):
    assert len(generations(workdir)) == 2
    with open_session(workdir, store=DISK) as session:
        session.say("Bye").teach("Bye!")
        session.save()
        assert len(generations(workdir)) == 2
        rows = [row.event for row in session.life.journal.checkpoints()]
        assert sorted(rows) == generations(workdir)


def test_the_last_lesson_is_taken_back_without_a_replay(workdir, taught):
    with open_session(workdir, store=DISK) as session:
        plan = session.plan_undo(lessons=1)
        assert plan.replayed == 0
        session.undo(plan)
        assert tree_digest(session.state.train) == taught[1][0]


def flip(workdir, event):
    """One bit of an array in the middle of a generation's file is another."""
    path = workdir / "checkpoints" / str(event) / "records"
    raw = bytearray(path.read_bytes())
    # The middle of a page that holds something.
    at = next(at for at in range(len(raw) // 2, len(raw)) if raw[at])
    raw[at] ^= 1
    path.write_bytes(raw)


def test_a_damaged_record_is_found_when_the_folder_is_opened(workdir, taught):
    flip(workdir, generations(workdir)[-1])
    said = []
    with open_session(workdir, store=DISK, say=said.append) as session:
        assert tree_digest(session.state.train) == taught[1][1]
    assert "its checksum does not fit; use an older checkpoint. Going on from" in said[0]
    assert "replaying 1 events" in said[1]


def test_a_record_that_is_damaged_later_is_found_by_the_step_that_reads_it(workdir, taught):
    least = least_bytes(abstract_state(tiny_config().model, OptimizerConfig()))
    store = StoreConfig(kind="disk", memory=least)
    with open_session(workdir, store=store) as session:
        turn = session.say("Bye")
        flip(workdir, generations(workdir)[-1])
        with pytest.raises(ValueError, match=r"is damaged at .* its checksum does not fit; use an"):
            turn.teach("Bye!")
        # The session went back to the generation before, and lived the lesson again.
        assert tree_digest(session.state.train) == taught[1][1]
        session.say("Bye").teach("Bye!")
        after = tree_digest(session.state.train)
    with open_session(workdir, store=store) as session:
        assert tree_digest(session.state.train) == after


def test_both_records_damaged_is_a_life_from_birth(workdir, taught):
    for event in generations(workdir):
        flip(workdir, event)
    with open_session(workdir, store=StoreConfig(kind="ram")) as session:
        assert tree_digest(session.state.train) == taught[1][1]


def test_a_generation_is_opened_in_memory_and_a_checkpoint_on_the_disk(workdir, taught):
    for kind in ("ram", "disk", "auto"):
        with open_session(workdir, store=StoreConfig(kind=kind)) as session:
            assert tree_digest(session.state.train) == taught[1][1]
            session.say("Bye").teach("Bye!")
        with open_session(workdir, store=StoreConfig(kind=kind)) as session:
            session.undo(session.plan_undo(lessons=1))
            assert tree_digest(session.state.train) == taught[1][1]


def test_a_reader_replays_without_a_trace(workdir, taught):
    flip(workdir, generations(workdir)[-1])
    before = sorted((workdir / "checkpoints").rglob("*"))
    with open_session(workdir, store=DISK, read_only=True) as session:
        assert tree_digest(session.state.train) == taught[1][1]
    assert sorted((workdir / "checkpoints").rglob("*")) == before


def test_a_life_aside_leaves_the_present_one_alone(workdir):
    with open_session(workdir, store=DISK) as session:
        session.say("Bye").teach("Bye!")
        present = tree_digest(session.state.train)
        lesson = session.life.journal.index()[2][0]
        restore_without(session.life, [lesson])
        assert tree_digest(session.state.train) == present


def test_plain_files_of_a_state_on_the_disk_are_written_leaf_by_leaf(workdir, taught, monkeypatch):
    plain = workdir.parent / "plain"
    loaded, load = [], DiskArray.load
    with open_session(workdir, store=DISK, read_only=True) as session:
        leaves = flatten_tree(session.state.train)
        monkeypatch.setattr(DiskArray, "load", lambda leaf: _followed(load(leaf), loaded))
        export_life(session.life, session.state, plain)
        assert len(loaded) == 2 * len(leaves)
    arrays = load_file(plain / "weights.safetensors")
    assert tree_digest(arrays) == taught[1][1]


def _followed(array, loaded):
    """The array, when the one before the last is gone."""
    assert sum(reference() is not None for reference in loaded) <= 1
    loaded.append(weakref.ref(array))
    return array


def test_a_disk_without_room_is_refused_before_the_first_byte(tmp_path, monkeypatch):
    config = config_of()
    abstract = abstract_state(config.model, config.optimizer)
    disk = Disk(tmp_path, config.dtype, None, writes=True)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(ValueError, match=r"the state needs .* on the disk of .*, got 0.00 MB free"):
        disk.create(abstract)
    assert list(tmp_path.iterdir()) == []


def test_a_memory_below_one_layer_names_the_least(tmp_path):
    config = config_of()
    abstract = abstract_state(config.model, config.optimizer)
    least = least_bytes(abstract)
    disk = Disk(tmp_path, config.dtype, least - 1, writes=True)
    with pytest.raises(ValueError, match=f"at least {least / 1e9:.2f} GB of memory"):
        disk.create(abstract)
    Disk(tmp_path, config.dtype, least, writes=True).create(abstract)


def test_a_state_that_a_step_used_up_is_gone(tmp_path):
    config = config_of()
    _, state, _ = both(tmp_path, config, NOTHING)
    train_step_losses(state, random_batch(config.model), 1e-2, config)
    with pytest.raises(AssertionError):
        np.asarray(state.params["embed"]["table"])


def test_a_copy_of_a_state_in_memory_is_the_state(tmp_path):
    config = config_of()
    state, same, _ = both(tmp_path, config, NOTHING)
    assert tree_digest(in_memory(same)) == tree_digest(state)


def test_a_model_without_room_is_not_born(tmp_path, capsys):
    words = ["apprentice", "--size=2m", "--store=disk", "--mode=book", f"--workdir={tmp_path}/life"]
    write_book(tmp_path, "A story. " * 400)
    assert run_mode(parse([*words, "--memory=400MB", f"--book={tmp_path / 'page.txt'}"])) == 1
    said = capsys.readouterr().err
    assert "a step over this model needs at least 0.47 GB of memory" in said
    assert not (tmp_path / "life").exists()
