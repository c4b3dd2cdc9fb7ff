"""The decoder once more, in NumPy and float64, with every sum made one term after another.

Adding zeros then changes no bit, whatever the shapes; a compiled kernel chooses its order by shape.
"""

import numpy as np


def logits(params, tokens_T, config):
    """`logits_TV` of one text."""
    x_TD = params["embed"]["table"][tokens_T]
    for block, windows in zip(params["blocks"], config.windows, strict=True):
        x_TD = x_TD + _attention(
            block["attn"], _norm(block["norm_attn"], x_TD, config), windows, config
        )
        h_TD, mlp = _norm(block["norm_mlp"], x_TD, config), block["mlp"]
        gate_TF = _dot(h_TD, mlp["gate"])
        hidden_TF = gate_TF / (1 + np.exp(-gate_TF)) * _dot(h_TD, mlp["up"])
        x_TD = x_TD + _dot(hidden_TF, mlp["down"])
    table_VD = params["embed" if config.tied_embedding else "head"]["table"]
    return _dot(_norm(params["norm_out"], x_TD, config) * config.logit_scale, table_VD.T)


def _dot(x, w):
    total = np.zeros((*x.shape[:-1], *w.shape[1:]))
    for term in range(len(w)):
        total = total + x[(..., term, *[None] * (w.ndim - 1))] * w[term]
    return total


def _norm(norm, x_TD, config):
    total_T = _dot(x_TD**2, np.ones(x_TD.shape[1])) / config.norm_dim
    return x_TD / np.sqrt(total_T + config.norm_eps)[:, None] * norm["gain"]


def _attention(attn, x_TD, windows, config):
    query_TKGH, key_TKH, value_TKH = (_dot(x_TD, attn[n]) for n in ("query", "key", "value"))
    query_TKGH, key_TKH = _rotate(query_TKGH, config), _rotate(key_TKH, config)
    length = len(x_TD)
    distance_TS = np.arange(length)[:, None] - np.arange(length)[None]
    y_TKGH = np.zeros_like(query_TKGH)
    for k, window in enumerate(windows):
        seen_TS = (distance_TS >= 0) & (distance_TS < window)
        for g in range(query_TKGH.shape[2]):
            scores_TS = _dot(query_TKGH[:, k, g], key_TKH[:, k].T) * config.attention_scale
            weights_TS = np.where(seen_TS, np.exp(scores_TS), 0.0)
            weights_TS = weights_TS / _dot(weights_TS, np.ones(length))[:, None]
            y_TKGH[:, k, g] = _dot(weights_TS, value_TKH[:, k])
    return _dot(y_TKGH.reshape(length, -1), attn["out"].reshape(-1, x_TD.shape[1]))


def _rotate(x_TXH, config):
    half = config.head_dim // 2
    angles_Th = np.arange(len(x_TXH))[:, None] * config.rope_base ** -(np.arange(half) / half)
    angles = angles_Th.reshape(len(x_TXH), *[1] * (x_TXH.ndim - 2), half)
    first, second = x_TXH[..., :half], x_TXH[..., half:]
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)
