"""Our parameter tree as the tensors of LlamaForCausalLM, and back: renames and transposes only.

Heads are rotated in half-split pairs here as there, so no row moves. Matrices are [out, in] there.
Source: transformers, models/llama/modeling_llama.py.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from model.axes import param_axes, shape_of
from model.config import ModelConfig

Tree = dict[str, Any]
EMBED, HEAD = "model.embed_tokens.weight", "lm_head.weight"

# Ours -> theirs within a layer, and how many leading axes of ours are inputs of the matrix.
_BLOCK = {
    ("norm_attn", "gain"): ("input_layernorm", 0),
    ("attn", "query"): ("self_attn.q_proj", 1),
    ("attn", "key"): ("self_attn.k_proj", 1),
    ("attn", "value"): ("self_attn.v_proj", 1),
    ("attn", "out"): ("self_attn.o_proj", 3),
    ("norm_mlp", "gain"): ("post_attention_layernorm", 0),
    ("mlp", "gate"): ("mlp.gate_proj", 1),
    ("mlp", "up"): ("mlp.up_proj", 1),
    ("mlp", "down"): ("mlp.down_proj", 1),
}


def llama_tensors(params: Tree, config: ModelConfig) -> dict[str, np.ndarray]:
    """The parameters by their names in LlamaForCausalLM, each contiguous, in the dtype they have.

    Args:
      params: tree with the axes of `param_axes(config)`, in standard form (model/standard_form.py).
    """
    tensors = {EMBED: params["embed"]["table"]}
    for layer, block in enumerate(params["blocks"]):
        for (part, leaf), (name, n_inputs) in _BLOCK.items():
            kernel = np.asarray(block[part][leaf])
            if n_inputs:
                kernel = kernel.reshape(math.prod(kernel.shape[:n_inputs]), -1).T
            tensors[_block_name(layer, name)] = kernel
    tensors["model.norm.weight"] = params["norm_out"]["gain"]
    if not config.tied_embedding:
        tensors[HEAD] = params["head"]["table"]
    # safetensors writes a transposed view wrong and says nothing.
    return {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}


def llama_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The name and the shape of every tensor that a model of this config has."""
    axes = param_axes(config)
    shapes = {EMBED: shape_of("VD", config), "model.norm.weight": shape_of("D", config)}
    for layer, block in enumerate(axes["blocks"]):
        for (part, leaf), (name, n_inputs) in _BLOCK.items():
            shape = shape_of(block[part][leaf], config)
            if n_inputs:
                shape = (math.prod(shape[n_inputs:]), math.prod(shape[:n_inputs]))
            shapes[_block_name(layer, name)] = shape
    if not config.tied_embedding:
        shapes[HEAD] = shape_of("VD", config)
    return shapes


def params_of_llama(tensors: Mapping[str, np.ndarray], config: ModelConfig) -> Tree:
    """The parameter tree, float32, of tensors that `check_names` has let through.

    Raises:
      ValueError: a tensor with a value that is not finite; names it.
    """

    def leaf(name: str, axes: str, n_inputs: int) -> np.ndarray:
        tensor = np.asarray(tensors[name], np.float32)
        if not np.isfinite(tensor).all():
            raise ValueError(
                f"the tensor {name} holds {np.count_nonzero(~np.isfinite(tensor))} values that "
                "are NaN or infinite, want finite weights; export the model again."
            )
        return np.ascontiguousarray(tensor.T if n_inputs else tensor).reshape(
            shape_of(axes, config)
        )

    blocks = []
    for layer, axes in enumerate(param_axes(config)["blocks"]):
        block: Tree = {part: {} for part in axes}
        for (part, name), (theirs, n_inputs) in _BLOCK.items():
            block[part][name] = leaf(_block_name(layer, theirs), axes[part][name], n_inputs)
        blocks.append(block)
    params: Tree = {
        "embed": {"table": leaf(EMBED, "VD", 0)},
        "blocks": blocks,
        "norm_out": {"gain": leaf("model.norm.weight", "D", 0)},
    }
    if not config.tied_embedding:
        params["head"] = {"table": leaf(HEAD, "VD", 0)}
    return params


def check_names(found: Mapping[str, tuple[int, ...]], config: ModelConfig) -> None:
    """Nothing; refuses tensors that are not exactly those of the config.

    A tied model may bring its head as well, old files the rotation table that follows from the
    base; neither is wanted.

    Args:
      found: name -> shape.

    Raises:
      ValueError: names the first tensor that is missing, unexpected or of another shape.
    """
    wanted = llama_shapes(config)
    for name in sorted(wanted.keys() | set(_needed(found, config))):
        if name not in found:
            raise ValueError(
                f"the tensor {name} is missing, want {list(wanted[name])} by config.json; export "
                "the model again, all its files."
            )
        if name not in wanted:
            raise ValueError(
                f"the tensor {name} is not part of a Llama as config.json describes it; biases and "
                "other architectures cannot be imported, choose another model."
            )
        if tuple(found[name]) != wanted[name]:
            raise ValueError(
                f"the tensor {name} has the shape {list(found[name])}, config.json wants "
                f"{list(wanted[name])}; use the config.json that belongs to these weights."
            )


def _needed(found: Iterable[str], config: ModelConfig) -> list[str]:
    return [
        name
        for name in found
        if not name.endswith(".rotary_emb.inv_freq")
        and not (name == HEAD and config.tied_embedding)
    ]


def neighbour_rows(weight_RD: np.ndarray, heads: int) -> np.ndarray:
    """The rows of q or k in the order of readers that rotate neighbours (2i, 2i+1), as GGUF's do.

    Source: llama.cpp, conversion/llama.py `permute`.

    Args:
      weight_RD: [heads·H, D] with half-split pairs (i, i + H/2).
      heads: query heads for q, key/value heads for k.
    """
    rows, columns = weight_RD.shape
    pairs = weight_RD.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, columns))


def _block_name(layer: int, name: str) -> str:
    return f"model.layers.{layer}.{name}.weight"
