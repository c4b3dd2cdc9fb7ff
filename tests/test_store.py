"""A state on the disk has the same bits as one in memory, whatever happens to it."""

import jax
import jax.numpy as jnp
import pytest
from conftest import random_batch, small_config

from train.disk_store import Disk
from train.flat_tree import tree_digest
from train.optimizer import OptimizerConfig
from train.state import abstract_state, init_state
from train.step import StepConfig, batch_losses, train_step_losses
from train.store import on_disk, parts_of

NOTHING, EVERYTHING = 0, 2**40


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
