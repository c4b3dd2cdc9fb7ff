"""The comparison behind the reading defaults: held-out bits per byte for equal machine time.

    python -m bench.defaults --shelf=BOOKS --out=FILE.jsonl --minutes=10 \
        --arm=batch_size=1,step_ms=93,learning_rate=1e-3 --arm=...

Every arm reads the same shelf from the same random weights for `--minutes` of training time. What
is charged is `step_ms` per step, an arm's setting measured beforehand in one interleaved run, so
that whatever else the machine does cannot favour an arm. One JSON line per measurement.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from model.config import new_config
from model.tokenizer import Tokenizer, train_tokenizer
from train.books import find_books, load_book
from train.evaluate import bits_per_byte, sample_held_out
from train.optimizer import OptimizerConfig
from train.state import init_state
from train.step import StepConfig, train_step
from train.windows import encode_book, join_books, window_stream

MARKS = 8
HELD_OUT_WINDOWS_PER_BOOK = 4


def main() -> None:
    """Runs every arm and appends its measurements to the output file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shelf", type=Path, required=True)
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--size", default="10m")
    parser.add_argument("--arm", action="append", required=True)
    arguments = parser.parse_args()
    paths = [path for path in find_books([arguments.shelf]) if path.stem not in arguments.skip]
    books = [load_book(path) for path in paths]
    config = new_config(arguments.size)
    texts = [document.text for book in books for document in book.documents]
    tokenizer = Tokenizer.from_bytes(train_tokenizer(texts, config.vocab_size))
    encoded = [encode_book(book, tokenizer) for book in books]
    shelf = join_books(encoded)
    held_out = [
        batch
        for book in encoded
        for batch in sample_held_out(book, config.context, HELD_OUT_WINDOWS_PER_BOOK)
    ]
    for arm in arguments.arm:
        settings = dict(pair.split("=") for pair in arm.split(","))
        for record in run_arm(settings, config, shelf, held_out, tokenizer, arguments.minutes):
            with arguments.out.open("a") as file:
                file.write(json.dumps({"arm": arm, "size": arguments.size, **record}) + "\n")


def run_arm(settings, config, shelf, held_out, tokenizer, minutes):
    """Trains one arm and yields its measurements."""
    names = ("b1", "b2", "weight_decay", "clip_norm")
    given = {name: float(settings[name]) for name in names if name in settings}
    optimizer = OptimizerConfig(**given, moments=settings.get("moments", "float32"))
    dtype, remat = jnp.dtype(settings.get("dtype", "bfloat16")), "remat" in settings
    step = StepConfig(config, optimizer, dtype, remat=remat)
    peak, warmup = float(settings["learning_rate"]), int(settings.get("warmup_steps", 100))
    state = init_state(config, optimizer, jax.random.key(int(settings.get("seed", 0))))
    spent, done, pass_, tokens = 0.0, 0, 0, 0
    windows = window_stream(shelf, seed=0, pass_=0, context=config.context)
    marks = list(np.linspace(minutes * 60 / MARKS, minutes * 60, MARKS))
    first, losses = 0, []
    while marks:
        if first >= windows.n_windows:
            pass_, first = pass_ + 1, 0
            windows = window_stream(shelf, seed=0, pass_=pass_, context=config.context)
        young = done < int(settings.get("young_steps", 0))
        size = 1 if young else int(settings.get("batch_size", 1))
        batch = windows.batch(first, size)
        rate = (1e-3 if young else peak) * min(1.0, (done + 1) / warmup)
        state, loss = train_step(state, batch, rate, step)
        losses.append(float(loss))
        spent += float(settings["young_ms" if young else "step_ms"]) / 1000
        done, first, tokens = done + 1, first + size, tokens + batch.tokens_BT.size
        if spent >= marks[0]:
            marks.pop(0)
            bits = bits_per_byte(state.params, held_out, tokenizer.n_bytes_V, step)
            yield {
                "seconds": spent,
                "steps": done,
                "tokens": tokens,
                "held_out_bits_per_byte": bits,
                "train_nats": float(np.mean(losses[-200:])),
            }


if __name__ == "__main__":
    main()
