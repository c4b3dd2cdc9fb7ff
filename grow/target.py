"""The config that a growth leads to, and what may change on the way."""

import dataclasses
from typing import Any

from model.config import ModelConfig

WIDTH = ("d_model", "d_ff")
HEADS = ("n_kv_heads", "n_query_groups")
DEPTH = ("n_layers",)
CONTEXT = ("context",)
GROWABLE = (*WIDTH, *HEADS, *DEPTH, *CONTEXT)


def grown_config(old: ModelConfig, **sizes: int) -> ModelConfig:
    """The config with larger sizes and every birth constant kept.

    Old key/value heads keep their windows for good; newborn ones, and those of newborn layers, see
    the whole new context.

    Args:
      **sizes: fields of GROWABLE.

    Raises:
      ValueError: a size that cannot grow, or that would become smaller.
    """
    for name, size in sizes.items():
        if name not in GROWABLE:
            raise ValueError(f"growth can change {', '.join(GROWABLE)}, got {name}; leave it out.")
        if size < getattr(old, name):
            raise ValueError(
                f"{name} is {getattr(old, name)} and cannot shrink to {size}; want at least "
                f"{getattr(old, name)}."
            )
    context = sizes.get("context", old.context)
    n_kv_heads = sizes.get("n_kv_heads", old.n_kv_heads)
    n_layers = sizes.get("n_layers", old.n_layers)
    new_heads = (context,) * (n_kv_heads - old.n_kv_heads)
    windows = tuple(row + new_heads for row in old.windows)
    windows += ((context,) * n_kv_heads,) * (n_layers - old.n_layers)
    fields: dict[str, Any] = {**sizes, "windows": windows}
    return dataclasses.replace(old, **fields)


def require_growth(old: ModelConfig, new: ModelConfig, changing: tuple[str, ...]) -> None:
    """Nothing; refuses a config that is not `old` with some of `changing` made larger.

    Raises:
      ValueError: names the first field that is smaller or must not change.
    """
    for field in dataclasses.fields(ModelConfig):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if field.name == "windows":
            kept = tuple(row[: old.n_kv_heads] for row in new.windows[: old.n_layers])
            fits = kept == old.windows
        else:
            fits = before == after or (field.name in changing and after > before)
        if not fits:
            raise ValueError(
                f"this growth may enlarge {', '.join(changing)} alone, got {field.name} "
                f"{before} -> {after}; give a config made by grown_config."
            )
