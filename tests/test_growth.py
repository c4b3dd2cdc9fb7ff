"""A grown model is the old one to the bit, can be undone, and every newborn entry learns."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from conftest import small_config
from numpy_decoder import logits

from grow.check import observe, prove, require_exact, require_old_entries, tolerance
from grow.context import grow_context
from grow.depth import grow_depth
from grow.heads import grow_heads
from grow.moments import grow_moments, shrink_moments
from grow.surgery import grow, shrink
from grow.target import GROWABLE, grown_config
from grow.width import grow_width
from model.axes import param_axes, shape_of
from model.transformer import forward
from train.flat_tree import tree_digest
from train.optimizer import OptimizerConfig, make_optimizer

KEY = jax.random.key(7)
OLD = small_config(
    d_model=8, d_ff=12, n_kv_heads=2, n_query_groups=2, n_layers=2, vocab_size=24, context=8
)
BIG = grown_config(OLD, d_model=13, d_ff=17, n_kv_heads=3, n_query_groups=3, n_layers=3, context=16)


def lived_in(config, seed=0, dtype=np.float64):
    """Weights of a config with nothing zero and gains that are not 1, made without compiling."""
    rng = np.random.default_rng(seed)

    def leaf(axes):
        values = rng.normal(0, 0.3, shape_of(axes, config)) + (len(axes) == 1)
        return jnp.asarray(values, dtype)

    return jax.tree.map(leaf, param_axes(config))


def said(params, config, tokens_T):
    return logits(jax.tree.map(np.asarray, params), tokens_T, config)


def same(left, right):
    return tree_digest(left) == tree_digest(right)


@pytest.mark.parametrize("seed", range(6))
def test_any_growth_says_the_same_to_the_bit(seed):
    """Primes included, ratios 1 to 4, one axis (even seeds) or all, twice in a row."""
    rng = np.random.default_rng(seed)
    with jax.enable_x64(True):
        config = small_config(
            d_model=int(rng.choice([5, 8, 13])),
            d_ff=int(rng.choice([7, 12, 23])),
            n_kv_heads=int(rng.integers(1, 4)),
            n_query_groups=int(rng.integers(1, 4)),
            n_layers=int(rng.integers(1, 3)),
            vocab_size=24,
            context=7,
            tied_embedding=bool(seed % 4 < 2),
        )
        params = lived_in(config, seed)
        tokens_T = rng.integers(0, 24, 20)
        before = said(params, config, tokens_T)
        for _ in range(2):
            names = [GROWABLE[seed // 2 % 6]] if seed % 2 == 0 else GROWABLE
            sizes = {
                n: int(getattr(config, n) * rng.uniform(1, 4 if n != "n_layers" else 2.5))
                for n in names
            }
            if names != GROWABLE:
                sizes = {n: size + 1 for n, size in sizes.items()}
            larger = grown_config(config, **sizes)
            grown = grow(params, config, larger, KEY)
            assert same(shrink(grown, larger, config), params)
            params, config = grown, larger
            after = said(params, config, tokens_T)
            np.testing.assert_array_equal(after, before)


def test_the_compiled_model_agrees_with_numpy_and_stays_within_rounding():
    tokens_BT = np.random.default_rng(0).integers(0, 24, (2, 16)).astype(np.int32)
    with jax.enable_x64(True):
        params = lived_in(OLD)
        run = jax.jit(partial(forward, config=OLD, dtype=jnp.dtype("float64")))
        np.testing.assert_allclose(
            run(params, tokens_BT, np.zeros_like(tokens_BT))[0],
            said(params, OLD, tokens_BT[0]),
            rtol=0,
            atol=1e-12,
        )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_growth_passes_its_own_proof(dtype):
    params = lived_in(OLD, dtype=np.float32)
    prompts_BT = jnp.asarray(np.random.default_rng(0).integers(0, 24, (3, 4)), jnp.int32)
    before = observe(params, prompts_BT, 8, OLD, dtype)
    proof = prove(before, grow(params, OLD, BIG, KEY), OLD, BIG, dtype)
    require_exact(proof, dtype)
    assert proof.greedy_tokens_compared == 12 and proof.greedy_identical
    # In bfloat16, too, whose products keep the bits on some processors and not on others.
    assert proof.max_logit_difference <= tolerance(proof.largest_logit, "float32") / 10
    assert proof.smallest_top2_gap > 0


def test_the_proof_finds_a_growth_that_changes_something():
    params = lived_in(OLD, dtype=np.float32)
    prompts_BT = jnp.zeros((1, 4), jnp.int32)
    before = observe(params, prompts_BT, 8, OLD, "float32")
    noisy = grow(params, OLD, BIG, KEY, noise=0.5)
    with pytest.raises(ValueError, match="moved a logit by"):
        require_exact(prove(before, noisy, OLD, BIG, "float32"), "float32")
    grown = grow(params, OLD, BIG, KEY)
    grown["embed"]["table"] = grown["embed"]["table"].at[3, 5].add(1e-6)
    with pytest.raises(ValueError, match=r"changed old entries of .*table"):
        require_old_entries(before.digests, grown, OLD)


def test_four_functions_in_a_row_are_the_one():
    params = lived_in(OLD, dtype=np.float32)
    wide = grown_config(OLD, d_model=13, d_ff=17)
    headed = grown_config(wide, n_kv_heads=3, n_query_groups=3)
    deep = grown_config(headed, n_layers=3)
    longer = grown_config(deep, context=16)
    found, config = params, OLD
    steps = [(grow_width, wide), (grow_heads, headed), (grow_depth, deep), (grow_context, longer)]
    for number, (step, target) in enumerate(steps):
        found = step(found, config, target, jax.random.fold_in(KEY, number))
        config = target
    assert same(found, grow(params, OLD, longer, KEY))
    with pytest.raises(ValueError, match="may enlarge n_layers alone, got d_model 8 -> 13"):
        grow_depth(params, OLD, wide, KEY)


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "int8"])
def test_moments_grow_with_their_weights_and_shrink_back(kind):
    optimizer = make_optimizer(OptimizerConfig(moments=kind))
    params = lived_in(OLD, dtype=np.float32)
    state = {
        name: [optimizer.init(block) for block in part]
        if name == "blocks"
        else optimizer.init(part)
        for name, part in params.items()
    }
    filled = jax.tree.map(lambda leaf: leaf + 3 if leaf.ndim else leaf + 9, state)
    grown = grow_moments(filled, optimizer, OLD, BIG)
    assert same(shrink_moments(grown, optimizer, BIG, OLD), filled)
    larger = grow(params, OLD, BIG, KEY)
    for part, weights in [("embed", larger["embed"]), ("norm_out", larger["norm_out"])]:
        assert jax.tree.map(jnp.shape, grown[part][1].mu) == jax.tree.map(jnp.shape, weights)
    assert float(jnp.sum(grown["embed"][1].nu["table"])) == 3 * 24 * 8
    assert [int(block[1].count) for block in grown["blocks"]] == [9, 9, 9]
    assert not any(jnp.any(leaf) for leaf in jax.tree.leaves(grown["blocks"][2][1].mu))


def test_released_leaves_are_gone_and_the_result_is_the_same():
    params = lived_in(OLD, dtype=np.float32)
    expected = tree_digest(grow(params, OLD, BIG, KEY))
    table = params["embed"]["table"]
    assert tree_digest(grow(params, OLD, BIG, KEY, release=True)) == expected
    assert table.is_deleted()


def test_a_leaf_without_a_rule_is_an_error():
    params = lived_in(OLD, dtype=np.float32)
    params["embed"]["bias"] = jnp.zeros(8)
    with pytest.raises(ValueError, match="no rule for the leaf embed/bias"):
        grow_width(params, OLD, grown_config(OLD, d_model=9), KEY)
    for name in ("vocab_size", "head_dim"):
        with pytest.raises(ValueError, match=f"got {name}"):
            grown_config(OLD, **{name: 2 * getattr(OLD, name)})
    odd = optax.GradientTransformation(lambda _: (jnp.zeros(3),), optax.identity().update)
    state = {name: odd.init(None) for name in ("embed", "norm_out")} | {"blocks": []}
    with pytest.raises(ValueError, match="belongs to no parameter"):
        grow_moments(state, odd, OLD, BIG)


def test_old_heads_keep_their_windows_and_newborn_ones_see_everything():
    assert BIG.windows == ((8, 8, 16), (8, 8, 16), (16, 16, 16))


@pytest.fixture(scope="module")
def gradients():
    """Loss gradients in float64 of the old and of the grown config, each compiled once."""
    tokens_BT = np.random.default_rng(1).integers(0, 24, (4, 17)).astype(np.int32)

    def loss(params, config):
        segments_BT = np.zeros_like(tokens_BT[:, 1:])
        logits_BTV = forward(params, tokens_BT[:, :-1], segments_BT, config, jnp.dtype("float64"))
        losses = optax.softmax_cross_entropy_with_integer_labels(logits_BTV, tokens_BT[:, 1:])
        return jnp.mean(losses)

    return {config: jax.jit(jax.grad(partial(loss, config=config))) for config in (OLD, BIG)}


def newborn(tree, before=OLD):
    """The newborn entries of each leaf of a tree of BIG, in a row, by path."""
    found = {}
    axes = dict(jax.tree.leaves_with_path(param_axes(BIG)))
    for path, leaf in jax.tree.leaves_with_path(tree):
        mask = np.ones(leaf.shape, bool)
        if not (path[0].key == "blocks" and path[1].idx >= before.n_layers):
            mask[tuple(slice(size) for size in shape_of(axes[path], before))] = False
        found[jax.tree_util.keystr(path)] = np.asarray(leaf)[mask]
    return found


def learn(gradient, params, steps, rate=0.3):
    for _ in range(steps):
        params = jax.tree.map(lambda p, g: p - rate * g, params, gradient(params))
    return params


def units(params, block):
    """The columns of newborn feed-forward units, and of newborn features, in one layer."""
    mlp, attn = params["blocks"][block]["mlp"], params["blocks"][block]["attn"]
    hidden = np.concatenate([mlp["gate"], mlp["up"], np.asarray(mlp["down"]).T])[:, OLD.d_ff :]
    features = np.concatenate([np.asarray(attn["out"]).reshape(-1, BIG.d_model), mlp["down"]])
    return [hidden, features[:, OLD.d_model :]]


def closest(columns):
    """The largest cosine of two different columns."""
    unit = columns / np.linalg.norm(columns, axis=0)
    return np.max(unit.T @ unit - 2 * np.eye(unit.shape[1]))


def test_old_gradients_stay_and_every_newborn_entry_learns(gradients):
    with jax.enable_x64(True):
        params = lived_in(OLD)
        grown = grow(params, OLD, BIG, KEY)
        before, after = gradients[OLD](params), gradients[BIG](grown)
        kept = shrink(after, BIG, OLD)
        for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(kept), strict=True):
            np.testing.assert_allclose(new, old, rtol=0, atol=1e-12 * np.max(np.abs(old)))
        second = newborn(gradients[BIG](learn(gradients[BIG], grown, 1)))
        silent = [path for path, values in second.items() if values.size and not np.all(values)]
        # Features of a token that no text holds cannot learn yet; every token is in this one.
        assert silent == []
        later = learn(gradients[BIG], grown, 10)
        for block in range(OLD.n_layers):
            assert all(closest(columns) < 0.99 for columns in units(later, block))


def test_a_plain_norm_would_change_every_word():
    wide, tokens_T = grown_config(OLD, d_model=13), np.arange(16)
    with jax.enable_x64(True):
        params = lived_in(OLD)
        grown = grow_width(params, OLD, wide, KEY)
    plain = dataclasses.replace(wide, norm_dim=13)
    np.testing.assert_array_equal(said(grown, wide, tokens_T), said(params, OLD, tokens_T))
    assert np.max(np.abs(said(grown, plain, tokens_T) - said(params, OLD, tokens_T))) > 0.1


def test_a_flat_copy_of_grouped_heads_would_mix_them_up():
    more, tokens_T = grown_config(OLD, n_query_groups=3), np.arange(16)
    with jax.enable_x64(True):
        params = lived_in(OLD)
        grown = grow_heads(params, OLD, more, KEY)
    before = said(params, OLD, tokens_T)
    np.testing.assert_array_equal(said(grown, more, tokens_T), before)
    for block, old in zip(grown["blocks"], params["blocks"], strict=True):
        for name, lead in [("query", 1), ("out", 0)]:
            flat_old = np.asarray(old["attn"][name])
            shape = block["attn"][name].shape
            columns = flat_old.reshape(*flat_old.shape[:lead], -1, *flat_old.shape[lead + 3 :])
            flat = np.zeros((*shape[:lead], np.prod(shape[lead : lead + 3]), *shape[lead + 3 :]))
            flat[tuple(map(slice, columns.shape))] = columns
            block["attn"][name] = flat.reshape(shape)
    assert np.max(np.abs(said(grown, more, tokens_T) - before)) > 0.1


def test_units_whose_gate_and_up_are_zero_would_never_learn(gradients):
    with jax.enable_x64(True):
        grown = grow(lived_in(OLD), OLD, BIG, KEY)
        for block in grown["blocks"][: OLD.n_layers]:
            for name in ("gate", "up"):
                block["mlp"][name] = block["mlp"][name].at[:, OLD.d_ff :].set(0)
        dead = gradients[BIG](learn(gradients[BIG], grown, 3))["blocks"][0]["mlp"]
        assert not np.any(np.asarray(dead["gate"])[:, OLD.d_ff :])
        assert not np.any(np.asarray(dead["down"])[OLD.d_ff :])


def test_clones_would_stay_clones(gradients):
    with jax.enable_x64(True):
        grown = grow(lived_in(OLD), OLD, BIG, KEY)
        mlp = grown["blocks"][0]["mlp"]
        for name in ("gate", "up"):
            mlp[name] = mlp[name].at[:, OLD.d_ff].set(mlp[name][:, 0])
        half = mlp["down"][0] / 2
        mlp["down"] = mlp["down"].at[OLD.d_ff].set(half).at[0].set(half)
        later = learn(gradients[BIG], grown, 10)["blocks"][0]["mlp"]
        np.testing.assert_allclose(later["gate"][:, OLD.d_ff], later["gate"][:, 0], rtol=1e-9)
