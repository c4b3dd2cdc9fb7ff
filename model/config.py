"""The shape of a model and the constants that were fixed when it was born."""

import dataclasses
import json
import math
from typing import Any, Self


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and birth constants of one decoder; `new_config` fills in the constants.

    `norm_dim`, `attention_scale`, `logit_scale`, `rope_base` and `windows` are numbers stored at
    birth and never recomputed from the present sizes: that is what keeps growth exact.
    `windows[layer][kv_head]` is how many tokens back, itself included, that head sees.
    """

    vocab_size: int
    d_model: int
    n_layers: int
    n_kv_heads: int
    n_query_groups: int
    head_dim: int
    d_ff: int
    context: int
    windows: tuple[tuple[int, ...], ...]
    norm_dim: int
    norm_eps: float
    rope_base: float
    attention_scale: float
    logit_scale: float
    tied_embedding: bool

    def __post_init__(self) -> None:
        for field in _COUNTS:
            _require_count(field, getattr(self, field))
        for field in ("norm_eps", "rope_base", "attention_scale", "logit_scale"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{field} must be a positive number, got {value}; correct it.")
        if self.head_dim % 2:
            raise ValueError(
                f"head_dim must be even for rotary positions, got {self.head_dim}; "
                f"choose {self.head_dim + 1}."
            )
        if self.vocab_size < 8:
            raise ValueError(f"vocab_size must be at least 8, got {self.vocab_size}; enlarge it.")
        heads = [len(row) for row in self.windows]
        if heads != [self.n_kv_heads] * self.n_layers:
            raise ValueError(
                f"windows must hold n_layers {self.n_layers} rows of n_kv_heads {self.n_kv_heads} "
                f"numbers, got rows of {heads}; give one window per layer and key/value head."
            )
        for row in self.windows:
            for window in row:
                _require_count("every window", window)

    @property
    def n_heads(self) -> int:
        return self.n_kv_heads * self.n_query_groups

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The config that `to_json` wrote; unknown or missing fields are refused by name."""
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"a model config must be JSON, got {text[:40]!r}: {error}.") from error
        known = {field.name for field in dataclasses.fields(cls)}
        if not isinstance(fields, dict) or set(fields) != known:
            got = sorted(fields) if isinstance(fields, dict) else type(fields).__name__
            raise ValueError(f"a model config must have the fields {sorted(known)}, got {got}.")
        fields["windows"] = tuple(tuple(row) for row in fields["windows"])
        return cls(**fields)


_COUNTS = (
    "vocab_size",
    "d_model",
    "n_layers",
    "n_kv_heads",
    "n_query_groups",
    "head_dim",
    "d_ff",
    "context",
    "norm_dim",
)


def _require_count(name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}; correct it.")


# Parameters within 10 % of the name at the default vocabulary of 8,192 pieces.
SIZES: dict[str, dict[str, int]] = {
    "2m": {"d_model": 128, "n_layers": 4, "n_kv_heads": 2, "n_query_groups": 1, "d_ff": 384},
    "10m": {"d_model": 320, "n_layers": 6, "n_kv_heads": 5, "n_query_groups": 1, "d_ff": 896},
    "50m": {"d_model": 640, "n_layers": 10, "n_kv_heads": 5, "n_query_groups": 2, "d_ff": 1792},
    "124m": {"d_model": 896, "n_layers": 14, "n_kv_heads": 7, "n_query_groups": 2, "d_ff": 2304},
    "350m": {"d_model": 1280, "n_layers": 20, "n_kv_heads": 5, "n_query_groups": 4, "d_ff": 3456},
    "1b": {"d_model": 2048, "n_layers": 22, "n_kv_heads": 8, "n_query_groups": 4, "d_ff": 5504},
    "2b": {"d_model": 2560, "n_layers": 29, "n_kv_heads": 8, "n_query_groups": 5, "d_ff": 6912},
    "3b": {"d_model": 3072, "n_layers": 31, "n_kv_heads": 8, "n_query_groups": 6, "d_ff": 8192},
    "5b": {"d_model": 4096, "n_layers": 29, "n_kv_heads": 8, "n_query_groups": 8, "d_ff": 11008},
}
DEFAULT_DIMENSIONS = {"vocab_size": 8192, "context": 256, "head_dim": 64}


def new_config(size: str = "10m", **overrides: int) -> ModelConfig:
    """The config of a model to be born: a named size with any dimension overridden.

    Args:
      size: a key of SIZES.
      **overrides: fields of ModelConfig; constants not named follow from the dimensions.

    Raises:
      ValueError: an unknown size, or sizes that do not fit together.
    """
    if size not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}, got {size!r}; choose one.")
    fields: dict[str, Any] = {**DEFAULT_DIMENSIONS, **SIZES[size], **overrides}
    for name in _COUNTS:
        _require_count(name, fields.get(name, 1))
    constants: dict[str, Any] = {
        "windows": ((fields["context"],) * fields["n_kv_heads"],) * fields["n_layers"],
        "norm_dim": fields["d_model"],
        "norm_eps": 1e-5,
        "rope_base": 10_000.0,
        "attention_scale": fields["head_dim"] ** -0.5,
        "logit_scale": 1.0,
        "tied_embedding": True,
    }
    return ModelConfig(**{**constants, **fields})
