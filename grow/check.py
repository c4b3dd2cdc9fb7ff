"""The proof that a growth changed nothing: the same entries, the same logits, the same text."""

import hashlib
import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from grow.surgery import old_block
from model.axes import param_axes
from model.cache import init_cache
from model.config import ModelConfig
from model.products import sum_dtype
from model.transformer import (
    Params,
    apply_block,
    apply_head,
    embed,
    extend,
    head_table,
    layer_windows,
    window_rope,
)

PROMPT_TOKENS = 8
# Rows whose logits are compared number by number; the text of all rows is.
LOGIT_ROWS = 2


class Answers(NamedTuple):
    """What a model says: greedy text, how close its choices were, its logits, its entries.

    `tokens_BT` holds prompts and text, `gaps_BT` the lead of each chosen token's logit over the
    next, `logits_BTV` the first LOGIT_ROWS rows read at once, `digests` the SHA-256 of each leaf.
    """

    tokens_BT: np.ndarray
    gaps_BT: np.ndarray
    logits_BTV: np.ndarray
    digests: dict[str, str]


class Proof(NamedTuple):
    """The largest difference of two logits, and the greedy text compared token by token."""

    max_logit_difference: float
    largest_logit: float
    greedy_tokens_compared: int
    greedy_identical: bool
    smallest_top2_gap: float


def observe(
    params: Params, prompts_BT: jax.Array, length: int, config: ModelConfig, dtype: DTypeLike
) -> Answers:
    """What a model says to prompts, through the cached decoder and over whole windows.

    Args:
      prompts_BT: ids, int32, all of one length.
      length: tokens of prompt and text together.
      dtype: inputs of matrix products, as in use.
    """
    tokens_BT, gaps_BT = _greedy(params, prompts_BT, length, config, jnp.dtype(dtype))
    logits = [_logits(params, row[None], config, dtype)[0] for row in tokens_BT[:LOGIT_ROWS]]
    digests = {
        jax.tree_util.keystr(path): _digest(leaf)
        for path, leaf in jax.tree.leaves_with_path(params)
    }
    return Answers(np.asarray(tokens_BT), np.asarray(gaps_BT), np.stack(logits), digests)


def prove(
    before: Answers, params: Params, old: ModelConfig, new: ModelConfig, dtype: DTypeLike
) -> Proof:
    """The comparison of a grown model with what the old one said.

    Args:
      before: `observe` of the old model.
      params: of the grown model.
      dtype: as `before` was observed.
    """
    require_old_entries(before.digests, params, old)
    length = before.tokens_BT.shape[1]
    n_prompt = length - before.gaps_BT.shape[1]
    prompts_BT = jnp.asarray(before.tokens_BT[:, :n_prompt])
    tokens_BT, _ = _greedy(params, prompts_BT, length, new, jnp.dtype(dtype))
    difference = largest = 0.0
    for row, logits_TV in zip(before.tokens_BT, before.logits_BTV, strict=False):
        after_TV = np.asarray(_logits(params, jnp.asarray(row)[None], new, dtype)[0])
        difference = max(difference, float(np.max(np.abs(after_TV - logits_TV))))
        largest = max(largest, float(np.max(np.abs(logits_TV))))
    return Proof(
        max_logit_difference=difference,
        largest_logit=largest,
        greedy_tokens_compared=before.gaps_BT.size,
        greedy_identical=bool(np.array_equal(tokens_BT, before.tokens_BT)),
        smallest_top2_gap=float(np.min(before.gaps_BT)),
    )


def require_exact(proof: Proof, dtype: DTypeLike) -> None:
    """Nothing; refuses a growth that changed what the model says.

    Raises:
      ValueError: logits moved further than rounding can, or the text changed where no two tokens
        were that close.
    """
    bound = tolerance(proof.largest_logit, dtype)
    # Two equal tokens within rounding may fall either way; any other change is a fault.
    tied = proof.smallest_top2_gap <= 2 * bound
    if proof.max_logit_difference > bound or not (proof.greedy_identical or tied):
        text = "identical" if proof.greedy_identical else "other"
        raise ValueError(
            f"the grown model moved a logit by {proof.max_logit_difference:.2g} (want at most "
            f"{bound:.2g}) and gave {text} text; nothing was kept, please report this."
        )


def tolerance(largest_logit: float, dtype: DTypeLike) -> float:
    """What the order of summation alone may change in a logit.

    One unit in the last place of the largest logit for bfloat16. Ten times 2e-6 · logit + 1e-6 for
    float32: kernels choose their order by shape and processor, faults are larger by far.
    """
    if jnp.dtype(dtype) == jnp.bfloat16:
        return 2.0 ** (math.floor(math.log2(max(largest_logit, 1e-6))) - 7)
    unit = 1e-12 if jnp.dtype(dtype) == jnp.float64 else 2e-5
    return unit * largest_logit + unit / 2


def require_old_entries(digests: dict[str, str], params: Params, old: ModelConfig) -> None:
    """Nothing; refuses a tree in which an entry of the old model has other bits.

    Raises:
      ValueError: names the first such leaf.
    """
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree.leaves_with_path(params)}
    for path, axes in jax.tree.leaves_with_path(param_axes(old)):
        name = jax.tree_util.keystr(path)
        if _digest(old_block(np.asarray(leaves[name]), axes, old)) != digests[name]:
            raise ValueError(
                f"growth changed old entries of {name}; nothing was kept, please report this."
            )


def _digest(leaf: jax.Array | np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(leaf).reshape(-1).view(np.uint8)).hexdigest()


@partial(jax.jit, static_argnames=("length", "config", "dtype"))
def _greedy(params, prompts_BT, length, config, dtype):
    batch, start = prompts_BT.shape

    def choose(x_BTD):
        head = head_table(params, config)
        logits_BV = apply_head(params["norm_out"], head, x_BTD[:, -1:], config, dtype)[:, 0]
        best_B2, ids_B2 = jax.lax.top_k(logits_BV, 2)
        return ids_B2[:, 0], best_B2[:, 0] - best_B2[:, 1]

    def advance(carry, position):
        cache, token_B, gap_B = carry
        x_B1D, cache = extend(params, token_B[:, None], cache, position, config, dtype)
        return (cache, *choose(x_B1D)), (token_B, gap_B)

    cache = init_cache(config, batch, length, sum_dtype(dtype) if dtype.itemsize > 4 else dtype)
    x_BTD, cache = extend(params, prompts_BT, cache, jnp.int32(0), config, dtype)
    positions = jnp.arange(start, length)
    _, (tokens_TB, gaps_TB) = jax.lax.scan(advance, (cache, *choose(x_BTD)), positions)
    return jnp.concatenate([prompts_BT, tokens_TB.T], axis=1), gaps_TB.T


def _logits(params, tokens_BT, config, dtype):
    """Logits of whole windows, a layer at a time, so that depth costs no compilation."""
    dtype = jnp.dtype(dtype)
    x_BTD = embed(params["embed"], tokens_BT, config)
    rope = window_rope(tokens_BT, config, dtype)
    for block, windows_K in zip(params["blocks"], layer_windows(config), strict=True):
        x_BTD = _block(block, x_BTD, rope, jnp.zeros_like(tokens_BT), windows_K, config, dtype)
    return _head(params["norm_out"], head_table(params, config), x_BTD, config, dtype)


_block = jax.jit(apply_block, static_argnames=("config", "dtype"))
_head = jax.jit(apply_head, static_argnames=("config", "dtype"))
