"""Loss beyond the old window directly after a growth of the context, on held-out book text.

    python -m bench.growth_window --workdir=LIFE --out=FILE.jsonl

The life is read and not changed. Held-out documents of its books that are long enough are read at
once, four windows long, and losses are averaged by position. The arm "inside" reads the same tokens
in windows of the old length, each token with between half a window and a whole one before it; what
an arm loses is its excess over that, token by token. One JSON line per arm.
"""

import argparse
import dataclasses
import itertools
import json
from pathlib import Path

import jax
import numpy as np

from grow.surgery import grow
from grow.target import grown_config
from model.config import ModelConfig
from serve.compile_cache import use_compile_cache
from serve.session import Session
from train.reading_plan import books_read
from train.step import batch_losses
from train.windows import Batch

RATIO = 4
ROWS = 2
# Bands of positions, in windows of the old model.
EDGES = (0, 0.5, 1, 1.5, 2, 3, 4)


def main() -> None:
    """Appends one line per arm to the output file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=40)
    arguments = parser.parse_args()
    use_compile_cache()
    with Session.open(arguments.workdir, read_only=True) as session:
        life, state = session.life, session.state
        documents = life.library.get(books_read(life)).held_out
    old = state.config.model
    length = RATIO * old.context
    long = [document.ids[: length + 1] for document in documents if len(document.ids) > length]
    ids_BT = np.stack(long)[:: max(1, len(long) // arguments.documents)][: arguments.documents]
    params = state.train.params
    inside_BT = read_inside(params, ids_BT, old.context, state.config)
    for name, config in arms(old).items():
        larger = params
        if name == "grown":
            larger = grow(params, old, config, jax.random.key(0))
        losses_BT = read(larger, ids_BT, state.config._replace(model=config, growths=()))
        record = {"arm": name, "documents": len(ids_BT), "window": old.context}
        record["bands"] = bands(losses_BT, inside_BT, old.context)
        with arguments.out.open("a") as file:
            file.write(json.dumps(record) + "\n")


def arms(old: ModelConfig) -> dict[str, ModelConfig]:
    """The configs that read four windows at once with the weights of the old model."""
    context = RATIO * old.context
    windowed = grown_config(old, context=context)
    everything = ((context,) * old.n_kv_heads,) * old.n_layers
    plain = dataclasses.replace(windowed, windows=everything)
    # Source: NTK-aware scaling of the rotary base, by the ratio of the lengths.
    base = old.rope_base * RATIO ** (old.head_dim / (old.head_dim - 2))
    return {
        "windowed": windowed,
        "grown": grown_config(
            old, context=context, n_kv_heads=2 * old.n_kv_heads, n_layers=old.n_layers + 1
        ),
        "plain": plain,
        "NTK": dataclasses.replace(plain, rope_base=base),
    }


def read(params, ids_BT: np.ndarray, config) -> np.ndarray:
    """The loss of every target, `nats_BT`."""
    found = []
    for first in range(0, len(ids_BT), ROWS):
        rows_BT = ids_BT[first : first + ROWS]
        zeros_BT = np.zeros(rows_BT[:, 1:].shape, np.int32)
        batch = Batch(rows_BT[:, :-1], rows_BT[:, 1:], zeros_BT.astype(np.float32), zeros_BT)
        found.append(np.asarray(batch_losses(params, batch, config)))
    return np.concatenate(found)


def read_inside(params, ids_BT: np.ndarray, window: int, config) -> np.ndarray:
    """The loss of every target from windows of the old length that overlap by a half."""
    half = window // 2
    inside_BT = np.full((len(ids_BT), ids_BT.shape[1] - 1), np.nan)
    for start in range(0, inside_BT.shape[1] - half, half):
        losses_BT = read(params, ids_BT[:, start : start + window + 1], config)
        first = half if start else 0
        inside_BT[:, start + first : start + window] = losses_BT[:, first:]
    return inside_BT


def bands(losses_BT: np.ndarray, inside_BT: np.ndarray, window: int) -> dict[str, list[float]]:
    """In each band of positions: mean loss, excess over "inside", its 95 % interval."""
    found = {}
    for low, high in (*itertools.pairwise(EDGES), (1, RATIO)):
        part = np.s_[:, int(low * window) : int(high * window)]
        excess_B = np.mean(losses_BT[part] - inside_BT[part], axis=1)
        error = 1.96 * float(np.std(excess_B, ddof=1)) / len(excess_B) ** 0.5
        found[f"{low:g}-{high:g}"] = [
            float(np.mean(losses_BT[part])),
            float(np.mean(excess_B)),
            error,
        ]
    return found


if __name__ == "__main__":
    main()
