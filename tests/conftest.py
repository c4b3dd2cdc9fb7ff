"""Strict switches, and the smallest model that has every part."""

import dataclasses
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.config import ModelConfig, new_config
from model.transformer import Params, init_params
from train.optimizer import OptimizerConfig
from train.step import StepConfig
from train.windows import Batch

pytest_plugins = ["fixtures_text", "fixtures_interop", "fixtures_readers"]


def small_config(**overrides) -> ModelConfig:
    """A model with two layers, grouped heads and sizes that are all different."""
    fields = {
        "vocab_size": 96,
        "d_model": 24,
        "n_layers": 2,
        "n_kv_heads": 2,
        "n_query_groups": 3,
        "head_dim": 4,
        "d_ff": 40,
        "context": 16,
    }
    return new_config("2m", **{**fields, **overrides})


def random_params(config: ModelConfig, seed: int = 1) -> Params:
    """Parameters in which every leaf matters: newborn models write nothing to the stream yet."""
    key = jax.random.key(seed)
    leaves, structure = jax.tree.flatten(init_params(config, key))
    noisy = [
        leaf + 0.3 * jax.random.normal(jax.random.fold_in(key, number), leaf.shape)
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, noisy)


def random_batch(config: ModelConfig, rows: int = 2, seed: int = 0) -> Batch:
    """Random tokens in two segments, with some targets that do not count."""
    rng = np.random.default_rng(seed)
    ids_BT = rng.integers(0, config.vocab_size, (rows, config.context + 1)).astype(np.int32)
    weights_BT = (rng.random((rows, config.context)) > 0.2).astype(np.float32)
    segments_BT = np.zeros((rows, config.context), np.int32)
    segments_BT[:, config.context // 2 :] = 1
    return Batch(ids_BT[:, :-1], ids_BT[:, 1:], weights_BT, segments_BT)


@pytest.fixture
def config() -> ModelConfig:
    return small_config()


@pytest.fixture
def step_config(config: ModelConfig) -> StepConfig:
    return StepConfig(config, OptimizerConfig(), jnp.dtype("float32"))


def with_windows(config: ModelConfig, *rows: tuple[int, ...]) -> ModelConfig:
    """The config with other windows per layer and key/value head."""
    return dataclasses.replace(config, windows=rows)


@pytest.fixture(scope="session", autouse=True)
def own_cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Programs started by tests keep their compiled functions among themselves."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield
