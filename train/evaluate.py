"""Held-out quality in bits per byte: it survives another tokenizer and another size."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from model.transformer import Params
from train.life import Life, LifeState
from train.reading_plan import books_read
from train.step import StepConfig, batch_losses
from train.windows import Batch, sample_held_out


def bits_per_byte(
    params: Params, batches: Iterable[Batch], n_bytes_V: np.ndarray, config: StepConfig
) -> float | None:
    """Total negative log2-likelihood over the UTF-8 bytes of the targets; None without any.

    Args:
      batches: windows; targets of weight 0 count neither in bits nor in bytes.
      n_bytes_V: bytes of every token's text.
    """
    nats = 0.0
    n_bytes = 0
    for batch in batches:
        losses_BT = np.asarray(batch_losses(params, batch, config), np.float64)
        counted_BT = batch.weights_BT > 0
        nats += float(np.sum(losses_BT, where=counted_BT))
        n_bytes += int(np.sum(n_bytes_V[batch.targets_BT], where=counted_BT))
    return nats / math.log(2) / n_bytes if n_bytes else None


def forgetting_report(
    life: Life,
    state: LifeState,
    hashes: Sequence[str],
    limit: int | None,
    known: Mapping[str, float | None] = {},
) -> dict[str, float | None]:
    """Held-out bits per byte of each book by its name, over at most `limit` windows each.

    What is `known` of this very state is not measured again.
    """
    context = state.config.model.context
    n_bytes_V = life.tokenizer.n_bytes_V
    report: dict[str, float | None] = {}
    for sha256 in hashes:
        book = life.library.get([sha256])
        name = book.name if book.name not in report else f"{book.name} {sha256[:8]}"
        if name in known:
            report[name] = known[name]
            continue
        windows = sample_held_out(book, context, limit)
        report[name] = bits_per_byte(state.train.params, windows, n_bytes_V, state.config)
    return report


def quick_held_out(life: Life, state: LifeState, limit: int) -> float | None:
    """Bits per byte over at most `limit` held-out windows of all books read; None without any."""
    hashes = books_read(life)
    if not hashes:
        return None
    windows = life.library.held_out(hashes, state.config.model.context, limit)
    return bits_per_byte(state.train.params, windows, life.tokenizer.n_bytes_V, state.config)
