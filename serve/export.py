"""A model folder's weights as files that other programs load."""

import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from model.axes import count_parameters
from model.llama_config import llama_config
from model.llama_names import llama_tensors
from model.standard_form import standard_config, standard_params
from serve.card import model_card
from serve.flags import FORMATS
from serve.gguf_file import write_gguf
from serve.records import size_name
from serve.tokenizer_files import write_tokenizer
from train.durable import fsync_folder, fsync_tree
from train.life import Life, LifeState
from train.tensor_file import save_tensors

_TORCH_NAMES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
_LARGEST_F16 = float(np.finfo(np.float16).max)


class Exported(NamedTuple):
    """What an export wrote: `files` are sizes in bytes by name, `context` is in tokens."""

    to: str
    format: str
    dtype: str
    parameters: int
    context: int
    files: dict[str, int]


def export_model(
    life: Life,
    state: LifeState,
    target: Path,
    *,
    format_: str,
    dtype: str = "f32",
    context: int | None = None,
) -> Exported:
    """The new folder `target` holds the model for transformers, or for llama.cpp and Ollama.

    A grown model is brought into the standard form first (model/standard_form.py).

    Args:
      target: missing or empty; made aside and renamed, so it is whole or absent.
      format_: huggingface or gguf.
      dtype: of the matrices; f32 is exact.
      context: tokens, when less than the model's.

    Raises:
      ValueError: a target with something in it, windows that no reader knows, weights beyond the
        dtype, or a disk that refuses.
    """
    if dtype not in FORMATS[format_]:
        raise ValueError(
            f"the format {format_} stores {', '.join(FORMATS[format_])}, got dtype {dtype!r}; "
            "choose one of those."
        )
    target = target.absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(
            f"an export needs an empty folder, got {target} "
            f"{'with other files in it' if target.is_dir() else 'which is a file'}; name another "
            "--to."
        )
    config = standard_config(state.config.model, context)
    params = standard_params(state.train.params, state.config.model, config)
    tensors = llama_tensors(params, config)
    _require_storable(tensors, dtype)
    part = target.with_name(f".{target.name}.exporting")
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        card = model_card(life, state, config, format_=format_, dtype=dtype)
        (part / "README.md").write_text(card, encoding="utf-8")
        if format_ == "gguf":
            name = f"apprentice {size_name(count_parameters(state.config.model))}"
            write_gguf(part / "model.gguf", tensors, config, life.tokenizer, dtype=dtype, name=name)
        else:
            _write_huggingface(
                part, tensors, llama_config(config, life.tokenizer, _TORCH_NAMES[dtype])
            )
            write_tokenizer(part, life.tokenizer, config.context)
        fsync_tree(part)
        part.rename(target)
        fsync_folder(target.parent)
    except OSError as error:
        raise ValueError(
            f"the export {target} could not be written: {error.strerror or error}; free space on "
            "the disk or name another --to."
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    files = {path.name: path.stat().st_size for path in sorted(target.iterdir())}
    parameters = count_parameters(state.config.model)
    return Exported(str(target), format_, dtype, parameters, config.context, files)


def _require_storable(tensors: dict[str, np.ndarray], dtype: str) -> None:
    """Nothing; refuses to write weights that would come back as infinity or are damaged."""
    for name, tensor in tensors.items():
        largest = float(np.max(np.abs(tensor)))
        if not largest <= (_LARGEST_F16 if dtype == "f16" else np.inf) or np.isinf(largest):
            raise ValueError(
                f"the tensor {name} has a weight of size {largest:g}, want at most "
                f"{_LARGEST_F16:g} in f16 and a finite one in f32; choose --dtype=f32 or restore "
                "an older checkpoint."
            )


def _write_huggingface(
    folder: Path, tensors: dict[str, np.ndarray], config: dict[str, Any]
) -> None:
    dtype = jnp.dtype(config["dtype"])
    stored = {name: tensor.astype(dtype) for name, tensor in tensors.items()}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_tensors(folder / "model.safetensors", stored)
    # safetensors keeps a file to its owner; an export is for the other programs of the machine too.
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode & 0o777)
    generation = {name: config[name] for name in ("bos_token_id", "eos_token_id")}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
