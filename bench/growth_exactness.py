"""How far logits move when random models grow: float64, float32 and bfloat16, compiled.

    python -m bench.growth_exactness --configs=20

Sizes from 7 to 32, primes included, grown 1 to 4 times on all axes at once; weights of standard
deviation 0.3. Prints one JSON line per config and a last one with the worst of each dtype.
"""

import argparse
import json
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from grow.surgery import grow
from grow.target import grown_config
from model.axes import param_axes, shape_of
from model.config import ModelConfig, new_config
from model.transformer import forward

DTYPES = ("float64", "float32", "bfloat16")
LENGTH = 16


def main() -> None:
    """Prints the largest difference and the largest logit of every config and dtype."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configs", type=int, default=20)
    found = {dtype: [] for dtype in DTYPES}
    for seed in range(parser.parse_args().configs):
        old, new = random_growth(seed)
        moved = {dtype: difference(old, new, seed, dtype) for dtype in DTYPES}
        for dtype, pair in moved.items():
            found[dtype].append(pair)
        print(json.dumps({"seed": seed, "d_model": [old.d_model, new.d_model], **moved}))
    for dtype, pairs in found.items():
        difference_N, largest_N = np.array(pairs).T
        summary = {
            "dtype": dtype,
            "equal_to_the_bit": int(np.sum(difference_N == 0)),
            "largest_difference": float(np.max(difference_N)),
            "largest_share_of_float32_bound": float(
                np.max(difference_N / (2e-6 * largest_N + 1e-6))
            ),
        }
        print(json.dumps(summary))


def random_growth(seed: int) -> tuple[ModelConfig, ModelConfig]:
    """A small model, and one up to four times as large on every axis."""
    rng = np.random.default_rng(seed)
    sizes = {
        "d_model": int(rng.integers(7, 33)),
        "d_ff": int(rng.integers(7, 33)),
        "n_kv_heads": int(rng.integers(1, 4)),
        "n_query_groups": int(rng.integers(1, 4)),
        "n_layers": int(rng.integers(1, 3)),
    }
    old = new_config("2m", **sizes, head_dim=4, vocab_size=24, context=LENGTH // 2)
    larger = {
        name: int(size * rng.uniform(1, 2 if name == "n_layers" else 4))
        for name, size in sizes.items()
    }
    return old, grown_config(old, **larger, context=LENGTH)


def difference(old: ModelConfig, new: ModelConfig, seed: int, dtype: str) -> tuple[float, float]:
    """The largest difference of two logits, and the largest logit."""
    rng = np.random.default_rng(seed)
    with jax.enable_x64(dtype == "float64"):
        master = jnp.promote_types(dtype, jnp.float32)
        params = jax.tree.map(
            lambda axes: jnp.asarray(
                rng.normal(0, 0.3, shape_of(axes, old)) + (len(axes) == 1), master
            ),
            param_axes(old),
        )
        tokens_BT = rng.integers(0, old.vocab_size, (2, LENGTH)).astype(np.int32)
        run = partial(_logits, tokens_BT=tokens_BT, dtype=jnp.dtype(dtype))
        before = np.asarray(run(params, config=old))
        after = np.asarray(run(grow(params, old, new, jax.random.key(seed)), config=new))
    return float(np.max(np.abs(after - before))), float(np.max(np.abs(before)))


@partial(jax.jit, static_argnames=("config", "dtype"))
def _logits(params, tokens_BT, config, dtype):
    return forward(params, tokens_BT, jnp.zeros_like(tokens_BT), config, dtype)


if __name__ == "__main__":
    main()
