"""A Llama made elsewhere becomes a model folder that can read, be taught and grow."""

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from model.config import ModelConfig
from model.llama_config import config_of_llama
from model.llama_names import EMBED, HEAD, check_names, params_of_llama
from model.tokenizer import Tokenizer
from train.adopt import adopt_life
from train.durable import sha256_file
from train.life import Life, require_place
from train.moments import Kind
from train.optimizer import OptimizerConfig
from train.step import StepConfig
from train.tensor_file import load_tensors

INDEX, WEIGHTS = "model.safetensors.index.json", "model.safetensors"
_FLOATS = ("float32", "float16", "bfloat16")


def import_model(
    source: Path,
    workdir: Path,
    *,
    dtype: str = "bfloat16",
    moments: Kind = "float32",
    seed: int = 0,
    context: int | None = None,
) -> Life:
    """A new life in `workdir` with the weights and the tokenizer of a Llama in a folder.

    Nothing is written before everything was found right. No pickle is read, no code from the
    folder is run, nothing is fetched.

    Args:
      source: config.json, tokenizer.model, and model.safetensors or several files with their
        index; float32, float16 or bfloat16.
      dtype: of the inputs of matrix products from now on; the weights are kept as float32.
      moments: what Adam's moments are stored as.
      seed: of the new life.
      context: tokens to see at once, when less than the model was made for.

    Raises:
      ValueError: what is missing, damaged or of a kind that this program does not have, by name.
    """
    require_place(workdir, seed)
    model = config_of_llama(_read_json(source / "config.json"), context)
    tokenizer = _read_tokenizer(source / "tokenizer.model", model)
    tensors, files = _read_tensors(source)
    check_names({name: tensor.shape for name, tensor in tensors.items()}, model)
    _require_floats(tensors)
    if model.tied_embedding and HEAD in tensors:
        _require_tied(tensors)
    params = params_of_llama(tensors, model)
    config = StepConfig(model, OptimizerConfig(moments=moments), jnp.dtype(dtype))
    sources = [*files, source / "config.json", source / "tokenizer.model"]
    origin = {"format": "huggingface", "files": {path.name: sha256_file(path) for path in sources}}
    return adopt_life(workdir, config, params, seed=seed, proto=tokenizer.proto, origin=origin)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ValueError(
            f"{path} is missing, want a folder with config.json, tokenizer.model and safetensors; "
            "correct --from."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not readable JSON: {error}; get the file again.") from error
    if not isinstance(fields, dict):
        raise ValueError(f"{path} is a JSON {type(fields).__name__}, want an object; correct it.")
    return fields


def _read_tokenizer(path: Path, model: ModelConfig) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_bytes(path.read_bytes())
    except OSError as error:
        raise ValueError(
            f"the tokenizer {path} could not be read: {error.strerror}; a model comes in with its "
            "SentencePiece tokenizer.model (tokenizer.json is not one), add it or choose another."
        ) from error
    if tokenizer.vocab_size != model.vocab_size:
        raise ValueError(
            f"the tokenizer {path} has {tokenizer.vocab_size} pieces, config.json has vocab_size "
            f"{model.vocab_size}; use the tokenizer that belongs to these weights."
        )
    return tokenizer


def _read_tensors(source: Path) -> tuple[dict[str, np.ndarray], list[Path]]:
    """All tensors by name, and the files they are in."""
    if not (source / INDEX).exists():
        if not (source / WEIGHTS).exists():
            raise ValueError(
                f"{source} holds neither {WEIGHTS} nor {INDEX}, want weights in safetensors (no "
                "pickle is read); convert them first."
            )
        return load_tensors(source / WEIGHTS), [source / WEIGHTS]
    places = _read_json(source / INDEX).get("weight_map")
    if not isinstance(places, dict) or not all(map(_is_file_name, places.values())):
        raise ValueError(
            f"{source / INDEX} has no weight_map of tensor names to names of files beside it; get "
            "the file again."
        )
    files = [source / name for name in sorted(set(places.values()))]
    tensors: dict[str, np.ndarray] = {}
    for file in files:
        for name, tensor in load_tensors(file).items():
            if places.get(name) != file.name:
                raise ValueError(
                    f"the tensor {name} is in {file.name}, the index says {places.get(name)}; "
                    "get index and files again."
                )
            tensors[name] = tensor
    for name in sorted(places.keys() - tensors.keys()):
        raise ValueError(
            f"the tensor {name} is missing from {places[name]}, where the index has it; get index "
            "and files again."
        )
    return tensors, files


def _is_file_name(name: Any) -> bool:
    return isinstance(name, str) and name.endswith(".safetensors") and Path(name).name == name


def _require_floats(tensors: dict[str, np.ndarray]) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype.name not in _FLOATS:
            raise ValueError(
                f"the tensor {name} is {tensor.dtype.name}, want {', '.join(_FLOATS)}; choose a "
                "model that is not quantized."
            )


def _require_tied(tensors: dict[str, np.ndarray]) -> None:
    if not np.array_equal(tensors[HEAD], tensors[EMBED]):
        raise ValueError(
            f"config.json has tie_word_embeddings true, yet {HEAD} differs from {EMBED}; set it to "
            "false or use the config.json that belongs to these weights."
        )
