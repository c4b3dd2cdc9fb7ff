"""A state on the disk has the same bits as one in memory, whatever happens to it."""

import jax
import jax.numpy as jnp
import pytest
from conftest import random_batch, small_config
from lives import READING, new_life, open_session, write_book

from grow.plan import plan_growth
from train.disk_store import Disk
from train.flat_tree import tree_digest
from train.optimizer import OptimizerConfig
from train.state import abstract_state, init_state
from train.step import StepConfig, batch_losses, train_step_losses
from train.store import StoreConfig, on_disk, parts_of

NOTHING, EVERYTHING = None, 2**40


def config_of(dtype="bfloat16", **sizes) -> StepConfig:
    return StepConfig(small_config(**sizes), OptimizerConfig(), jnp.dtype(dtype))


def both(folder, config, memory):
    """The same newborn state in memory and on the disk."""
    state, same = (init_state(config.model, config.optimizer, jax.random.key(0)) for _ in "ab")
    disk = Disk(folder, config.dtype, memory, writes=True)
    abstract = abstract_state(config.model, config.optimizer)
    return state, on_disk(disk, abstract, parts_of(same)), disk


@pytest.mark.parametrize("memory", [NOTHING, EVERYTHING])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_steps_give_the_same_bits(tmp_path, dtype, memory):
    config = config_of(dtype)
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
        list(session.read([book], READING))
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
