"""Moments in 2 bytes or 1 byte: right on average, the same bits again, and carried everywhere."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_batch
from lives import READING, open_session, tiny_config, write_book
from safetensors.numpy import load_file

from train.disk_store import Disk
from train.flat_tree import tree_digest
from train.life import create_life
from train.moments import decode, encode
from train.optimizer import OptimizerConfig
from train.plain import export_life
from train.replay import restore_without
from train.residency import least_bytes, tree_bytes
from train.state import abstract_state, init_state
from train.step import train_step
from train.store import StoreConfig, on_disk, parts_of

SMALL = ("bfloat16", "int8")


def optimizer(kind):
    return OptimizerConfig(moments=kind)


@pytest.mark.parametrize("signed", [True, False])
def test_eight_bits_are_right_on_average(signed):
    rng = np.random.default_rng(0)
    # Blocks of 64, 64 and 12 entries; of the first row each has its own scale.
    x = rng.choice([-1.0, 1.0], (3, 140)) * 10.0 ** rng.uniform(-3, 0, (3, 140))
    x[0] *= np.repeat([1e-3, 1e-15, 1e5], [64, 64, 12])
    x[1, :70] = 0
    x = jnp.asarray(x if signed else x**2, jnp.float32)
    found = []
    for chance in range(0, 2**16, 2**8):
        codes, scale = encode(x, jnp.full(x.shape, chance, jnp.uint32), signed=signed)
        assert (codes.dtype, scale.dtype, scale.shape) == (jnp.uint8, jnp.int8, (3, 3))
        found.append(np.asarray(decode(codes, scale, signed=signed), np.float64))
    exact = np.asarray(x, np.float64)
    assert not np.any(np.stack(found)[:, exact == 0])
    # Three bits after the first: an eighth between two numbers at the most.
    assert np.all(np.abs(np.stack(found) - exact) <= np.abs(exact) / 8)
    np.testing.assert_allclose(np.mean(found, 0), exact, rtol=1e-3)


def test_what_is_too_small_for_eight_bits_comes_now_and_then_or_is_the_smallest():
    x = jnp.zeros(64).at[0].set(1.0).at[1].set(2.0**-18)
    found = [
        decode(*encode(x, jnp.full(64, chance, jnp.uint32), signed=True), signed=True)[1]
        for chance in range(0, 2**16, 2**8)
    ]
    assert float(np.mean(found)) == pytest.approx(2.0**-18, rel=0.1)
    x = x.at[1].set(2.0**-60)
    least = decode(*encode(x, jnp.full(64, 2**16 - 1, jnp.uint32), signed=False), signed=False)[1]
    assert 0 < float(least) < 2.0**-28


@pytest.mark.parametrize("kind", SMALL)
def test_steps_go_the_same_way_with_less_memory_in_both_stores(tmp_path, kind):
    config = tiny_config()._replace(optimizer=optimizer(kind))
    abstract = abstract_state(config.model, config.optimizer)
    states = [init_state(config.model, config.optimizer, jax.random.key(0)) for _ in "ab"]
    disk = Disk(tmp_path, config.dtype, least_bytes(abstract), writes=True)
    states[1] = on_disk(disk, abstract, parts_of(states[1]))
    exact = config._replace(optimizer=optimizer("float32"))
    whole = init_state(exact.model, exact.optimizer, jax.random.key(0))
    assert tree_bytes(abstract) < tree_bytes(whole) * (0.7 if kind == "bfloat16" else 0.55)
    for seed in range(3):
        batch = random_batch(config.model, rows=1, seed=seed)
        (states[0], loss), (states[1], again) = (
            train_step(state, batch, 1e-2, config) for state in states
        )
        whole, wanted = train_step(whole, batch, 1e-2, exact)
        assert float(loss) == float(again)
        assert float(loss) == pytest.approx(float(wanted), rel=0.01)
    assert tree_digest(states[0]) == tree_digest(states[1])
    disk.close()


@pytest.mark.parametrize(("kind", "store"), [("bfloat16", "disk"), ("int8", "ram")])
def test_a_life_keeps_them(tmp_path, alice_text, kind, store):
    config = tiny_config()._replace(optimizer=optimizer(kind))
    workdir, store = tmp_path / "life", StoreConfig(kind=store)
    create_life(workdir, config, seed=0, texts=[alice_text[:20_000]]).close()
    book = write_book(tmp_path, alice_text, start=2000)
    with open_session(workdir, store=store) as session:
        list(session.read([book], dataclasses.replace(READING, steps=3)))
        digest = tree_digest(session.state.train)
        names = {leaf.dtype.name for leaf in jax.tree.leaves(session.state.train.opt_state)}
        assert names == {"int32"} | ({"bfloat16"} if kind == "bfloat16" else {"uint8", "int8"})
    with open_session(workdir, store=store, read_only=True) as session:
        assert session.state.config.optimizer.moments == kind
        assert tree_digest(session.state.train) == digest
        assert tree_digest(restore_without(session.life, []).train) == digest
        export_life(session.life, session.state, tmp_path / "plain")
    assert tree_digest(load_file(tmp_path / "plain" / "weights.safetensors")) == digest
