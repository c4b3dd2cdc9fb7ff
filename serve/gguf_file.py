"""One GGUF file for llama.cpp and Ollama; the only file that imports gguf.

Source: llama.cpp, conversion/llama.py and gguf-py's constants.
"""

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np

from model.config import ModelConfig
from model.llama_names import neighbour_rows
from model.tokenizer import Tokenizer
from serve.tokenizer_files import CHAT_TEMPLATE

_TYPES = {
    "f32": (gguf.GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "f16": (gguf.GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "bf16": (gguf.GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "q8_0": (gguf.GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
_PIECES = {
    "normal": gguf.TokenType.NORMAL,
    "unknown": gguf.TokenType.UNKNOWN,
    "control": gguf.TokenType.CONTROL,
    "unused": gguf.TokenType.UNUSED,
    "byte": gguf.TokenType.BYTE,
}
_Q8_BLOCK = 32


def write_gguf(
    path: Path,
    tensors: Mapping[str, np.ndarray],
    config: ModelConfig,
    tokenizer: Tokenizer,
    *,
    dtype: str,
    name: str,
) -> None:
    """The new file `path` holds weights, tokenizer and chat template.

    Args:
      tensors: by LlamaForCausalLM's names, float32 (`model.llama_names.llama_tensors`).
      config: in standard form.
      dtype: f32, f16, bf16 or q8_0, of the matrices; gains stay float32. A matrix whose rows are
        not a multiple of 32 long is stored as f16 instead of q8_0, as llama.cpp does.
      name: what programs show.
    """
    writer = gguf.GGUFWriter(path, "llama")
    try:
        _add_config(writer, config)
        writer.add_name(name)
        writer.add_file_type(_TYPES[dtype][1])
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        _add_tokenizer(writer, tokenizer)
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.n_layers)
        for theirs, tensor in tensors.items():
            stored, kind = _stored(_in_reading_order(theirs, tensor, config), dtype)
            target = names.get_name(theirs, try_suffixes=(".weight",))
            writer.add_tensor(str(target), stored, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _add_config(writer: gguf.GGUFWriter, config: ModelConfig) -> None:
    writer.add_context_length(config.context)
    writer.add_embedding_length(config.d_model)
    writer.add_block_count(config.n_layers)
    writer.add_feed_forward_length(config.d_ff)
    writer.add_head_count(config.n_heads)
    writer.add_head_count_kv(config.n_kv_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_rope_freq_base(config.rope_base)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_vocab_size(config.vocab_size)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer) -> None:
    pieces = tokenizer.pieces()
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([piece.text.encode() for piece in pieces])
    writer.add_token_scores([piece.score for piece in pieces])
    writer.add_token_types([_PIECES[piece.kind] for piece in pieces])
    writer.add_unk_token_id(tokenizer.unknown)
    writer.add_bos_token_id(tokenizer.document)
    writer.add_eos_token_id(tokenizer.turn_end)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(CHAT_TEMPLATE)


def _in_reading_order(name: str, tensor: np.ndarray, config: ModelConfig) -> np.ndarray:
    """The rows of queries and keys as llama.cpp rotates them: neighbours."""
    if name.endswith("q_proj.weight"):
        return neighbour_rows(tensor, config.n_heads)
    if name.endswith("k_proj.weight"):
        return neighbour_rows(tensor, config.n_kv_heads)
    return tensor


def _stored(tensor: np.ndarray, dtype: str) -> tuple[np.ndarray, gguf.GGMLQuantizationType]:
    kind = _TYPES["f32" if tensor.ndim == 1 else dtype][0]
    if kind == gguf.GGMLQuantizationType.Q8_0 and tensor.shape[-1] % _Q8_BLOCK:
        kind = gguf.GGMLQuantizationType.F16
    return gguf.quants.quantize(tensor, kind), kind
