"""Our config as the config.json of LlamaForCausalLM, and back."""

import math
from typing import Any

from model.config import ModelConfig
from model.tokenizer import Tokenizer

# Key -> the values that change nothing in our model; every other value is refused by name.
_ONLY: dict[str, tuple[Any, ...]] = {
    "model_type": ("llama",),
    "hidden_act": ("silu", "swish"),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "pretraining_tp": (1,),
    "partial_rotary_factor": (1, 1.0),
    "sliding_window": (),
    "quantization_config": (),
    "layer_types": (),
    "auto_map": (),
}
_SIZES = ("hidden_size", "intermediate_size", "vocab_size", "max_position_embeddings")
_REPEATS = ("num_hidden_layers", "num_attention_heads")


def llama_config(config: ModelConfig, tokenizer: Tokenizer, dtype: str) -> dict[str, Any]:
    """The config.json of a model in standard form (see model/standard_form.py).

    Both keys of the rotation's base are there: transformers 5 reads `rope_parameters`, older
    programs `rope_theta`.

    Args:
      dtype: float32, float16 or bfloat16, as the weights are stored.
    """
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_base,
        "rope_parameters": {"rope_theta": config.rope_base, "rope_type": "default"},
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": config.tied_embedding,
        "bos_token_id": tokenizer.document,
        "eos_token_id": tokenizer.turn_end,
        "dtype": dtype,
        "torch_dtype": dtype,
        "use_cache": True,
    }


def config_of_llama(fields: dict[str, Any], context: int | None = None) -> ModelConfig:
    """The config of a Llama that others made; missing keys have transformers' defaults.

    Args:
      fields: of config.json.
      context: tokens to see at once, at most what the model was made for; that by default.

    Raises:
      ValueError: a key whose value this program does not have; names key and value.
    """
    for key, values in _ONLY.items():
        value = fields.get(key)
        if (value is not None or key == "model_type") and value not in values:
            want = " or ".join(map(str, values)) or "no such key"
            raise _refusal(key, value, want)
    width, d_ff, vocab_size, longest = (_count(fields, key) for key in _SIZES)
    # Bounded, because the config holds a number for every layer and head.
    n_layers, heads = (_count(fields, key, most=4096) for key in _REPEATS)
    kv_heads = _count(fields, "num_key_value_heads", heads)
    if heads % kv_heads:
        raise _refusal("num_key_value_heads", kv_heads, f"a divisor of {heads}")
    head_dim = _count(fields, "head_dim", width // heads)
    if context is not None and context > longest:
        raise ValueError(
            f"context {context} is longer than the {longest} tokens that this model was made for "
            "(max_position_embeddings); choose that or less."
        )
    context = context or longest
    return ModelConfig(
        vocab_size=vocab_size,
        d_model=width,
        n_layers=n_layers,
        n_kv_heads=kv_heads,
        n_query_groups=heads // kv_heads,
        head_dim=head_dim,
        d_ff=d_ff,
        context=context,
        windows=((context,) * kv_heads,) * n_layers,
        norm_dim=width,
        norm_eps=_number("rms_norm_eps", fields.get("rms_norm_eps", 1e-6)),
        rope_base=_rope_base(fields),
        attention_scale=head_dim**-0.5,
        logit_scale=1.0,
        tied_embedding=_flag("tie_word_embeddings", fields.get("tie_word_embeddings", False)),
    )


def _rope_base(fields: dict[str, Any]) -> float:
    """The base of the rotation; every scaling is refused."""
    bases = [fields["rope_theta"]] if "rope_theta" in fields else []
    for key in ("rope_parameters", "rope_scaling"):
        rope = fields.get(key)
        if rope is None:
            continue
        if not isinstance(rope, dict):
            raise _refusal(key, rope, "an object")
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind != "default":
            raise _refusal(f"{key}.rope_type", kind, "default")
        unknown = rope.keys() - {"rope_type", "type", "rope_theta"}
        if rope.get("partial_rotary_factor") in (1, 1.0):
            unknown -= {"partial_rotary_factor"}
        if unknown:
            name = min(unknown)
            raise _refusal(f"{key}.{name}", rope[name], "no such key")
        if "rope_theta" in rope:
            bases.append(rope["rope_theta"])
    if len({*map(str, map(_base, bases))}) > 1:
        raise _refusal("rope_theta", bases, "one base")
    return _base(bases[0]) if bases else 10_000.0


def _base(value: Any) -> float:
    return _number("rope_theta", value)


def _count(
    fields: dict[str, Any], key: str, default: int | None = None, most: int = 2**31 - 1
) -> int:
    value = fields.get(key)
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise _refusal(key, value, f"a whole number from 1 to {most}")
    return value


def _number(key: str, value: Any) -> float:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if not 0 < number < 1e30:
        raise _refusal(key, value, "a positive number")
    return float(number)


def _flag(key: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refusal(key, value, "true or false")
    return value


def _refusal(key: str, value: Any, want: str) -> ValueError:
    return ValueError(
        f"config.json has {key} {value!r}, this program knows only {want}; choose another model."
    )
