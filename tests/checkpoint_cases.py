"""A tree with every kind of leaf, and how the tests save it."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from train.checkpoint import save_checkpoint


def training_tree() -> dict[str, Any]:
    """Every kind of leaf that a training state has, with the values that casts and copies lose."""
    bits = jnp.array([0x7FC00001, 0xFFC12345, 0x80000000, 0x00000001, 0x7F800000], jnp.uint32)
    layers = [
        {"w": jax.random.normal(jax.random.key(n), (5, 7)), "b": jnp.zeros(3)} for n in (0, 1)
    ]
    params = {"embed": jnp.full((4, 2), -0.0), "layers": layers}
    return {
        "params": params,
        "optimizer": optax.adamw(0.1).init(params),
        "odd": jax.lax.bitcast_convert_type(bits, jnp.float32),
        "half": jnp.array([-0.0, 1.25, 3e38], jnp.bfloat16),
        "counts": jnp.arange(6, dtype=jnp.int32).reshape(1, 2, 3),
        "moments": np.arange(4, dtype=np.int64) << 40,
        "mask": jnp.array([True, False]),
        "step": 12345678901,
        "nothing": None,
        "name.with[signs]": jnp.ones(()),
    }


def abstract_of(tree: Any) -> Any:
    def describe(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if isinstance(leaf, jax.Array) else leaf

    return jax.tree.map(describe, tree)


def save(folder: Path, tree: Any, event: int = 7) -> str:
    return save_checkpoint(folder, tree, event=event, metadata={"kind": "lesson"})[0]


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "7").rglob("*") if path.is_file())
