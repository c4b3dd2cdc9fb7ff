"""The letters of the axes, and the axis string of every parameter.

B batch, T query length, S key length, D model width, N query heads (K·G), K key/value heads,
G query heads per key/value head, H head size, F feed-forward width, V vocabulary, L layers,
C candidate replies. An axis string such as 'DKGH' is the only source of a leaf's shape: initial
values, growth, the weight-decay mask, reports and notebooks read it.
"""

from typing import Any

from model.config import ModelConfig

FIELD_OF_LETTER = {
    "D": "d_model",
    "K": "n_kv_heads",
    "G": "n_query_groups",
    "H": "head_dim",
    "F": "d_ff",
    "V": "vocab_size",
}

BLOCK_AXES = {
    "norm_attn": {"gain": "D"},
    "attn": {"query": "DKGH", "key": "DKH", "value": "DKH", "out": "KGHD"},
    "norm_mlp": {"gain": "D"},
    "mlp": {"gate": "DF", "up": "DF", "down": "FD"},
}


def shape_of(axes: str, config: ModelConfig) -> tuple[int, ...]:
    """The sizes of an axis string under a config: 'DF' -> (d_model, d_ff)."""
    return tuple(getattr(config, FIELD_OF_LETTER[letter]) for letter in axes)


def param_axes(config: ModelConfig) -> dict[str, Any]:
    """The parameter tree of a config with an axis string at every leaf."""
    tree: dict[str, Any] = {
        "embed": {"table": "VD"},
        "blocks": [BLOCK_AXES for _ in range(config.n_layers)],
        "norm_out": {"gain": "D"},
    }
    if not config.tied_embedding:
        tree["head"] = {"table": "VD"}
    return tree


def count_parameters(config: ModelConfig) -> int:
    """The number of parameters of a config, without making any."""
    leaves = _leaves(param_axes(config))
    return sum(_product(shape_of(axes, config)) for axes in leaves)


def _leaves(tree: Any) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    children = tree.values() if isinstance(tree, dict) else tree
    return [leaf for child in children for leaf in _leaves(child)]


def _product(sizes: tuple[int, ...]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result
