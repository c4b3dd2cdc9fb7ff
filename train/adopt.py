"""A life that begins with another model's weights instead of random ones."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from model.axes import param_axes, shape_of
from model.transformer import Params
from train.durable import sha256_file
from train.flat_tree import flatten_tree, path_string
from train.life import BIRTH_WEIGHTS, Life, bear_life, birth_data, require_place
from train.step import StepConfig
from train.tensor_file import load_tensors, save_tensors


def adopt_life(
    workdir: Path,
    config: StepConfig,
    params: Params,
    *,
    seed: int,
    proto: bytes,
    origin: dict[str, Any],
) -> Life:
    """A new life in an empty folder that starts from `params`.

    The weights are kept in the folder as `birth.safetensors`, under the paths of our own tree, and
    the event of the birth has their SHA-256: replay starts from them as from a seed.

    Args:
      config: what the weights belong to.
      params: tree with the axes of `param_axes(config.model)`, float32.
      seed: of the root key; replies are drawn from it.
      proto: the SentencePiece model.
      origin: JSON values that say where the weights are from.

    Raises:
      ValueError: the folder holds something, or the disk refuses.
    """
    require_place(workdir, seed)

    def birth(folder: Path) -> dict[str, Any]:
        path = folder / BIRTH_WEIGHTS
        arrays = {name: np.asarray(leaf) for name, leaf in flatten_tree(params).items()}
        save_tensors(path, arrays)
        path.chmod(0o600)
        weights = {"file": BIRTH_WEIGHTS, "sha256": sha256_file(path)}
        return {**birth_data(config, seed, proto), "weights": weights, "origin": origin}

    return bear_life(workdir, proto, birth)


def adopted_params(life: Life) -> Params:
    """The weights that this life began with.

    Raises:
      ValueError: their file is missing, damaged or of another birth.
    """
    weights = life.birth["weights"]
    path = life.workdir / weights["file"]
    arrays = load_tensors(path)
    if (found := sha256_file(path)) != weights["sha256"]:
        raise ValueError(
            f"the weights {path} are not those this model was born with: their SHA-256 is {found}, "
            f"want {weights['sha256']}; restore the file from a copy."
        )
    model = life.birth_config.model

    def leaf(path: tuple[Any, ...], axes: str) -> jax.Array:
        return jnp.asarray(arrays[path_string(path)].reshape(shape_of(axes, model)))

    return jax.tree.map_with_path(leaf, param_axes(model))
