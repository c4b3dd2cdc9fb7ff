"""Held-out bits per byte after a book, with bfloat16 and with float32 products, seed by seed.

    python -m bench.precision [--size=2m] [--seeds=3] [--passes=4] [--out=FILE.jsonl]

Both read the same windows in the same order from the same random weights, one window a step. One
JSON line per pass, then the table of docs/performance.md.
"""

import argparse
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from bench.contest import ROOT
from model.config import ModelConfig, new_config
from model.tokenizer import Tokenizer, train_tokenizer
from train.books import load_book
from train.evaluate import bits_per_byte
from train.optimizer import OptimizerConfig
from train.state import init_state
from train.step import StepConfig, train_step
from train.windows import EncodedBook, encode_book, sample_held_out, window_stream

BOOK = ROOT / "serve" / "shelf" / "wizard-of-oz.txt"
DTYPES = ("bfloat16", "float32")
LEARNING_RATE, WARMUP_STEPS = 1e-3, 100


def main() -> None:
    """Reads the book with every seed and dtype, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="2m")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--passes", type=int, default=4)
    parser.add_argument("--book", type=Path, default=BOOK)
    parser.add_argument("--out", type=Path, default=Path("precision.jsonl"))
    arguments = parser.parse_args()
    config, book = new_config(arguments.size), load_book(arguments.book)
    texts = [document.text for document in book.documents if document.text]
    tokenizer = Tokenizer.from_bytes(train_tokenizer(texts, config.vocab_size))
    encoded = encode_book(book, tokenizer)
    records = []
    with arguments.out.open("w") as file:
        for seed in range(arguments.seeds):
            for dtype in DTYPES:
                for record in read(config, encoded, tokenizer, seed, dtype, arguments.passes):
                    records.append(record)
                    file.write(json.dumps({"size": arguments.size, **record}) + "\n")
                    file.flush()
    print(table(records))


def read(
    model: ModelConfig, book: EncodedBook, tokenizer: Tokenizer, seed: int, dtype: str, passes: int
) -> Iterator[dict[str, Any]]:
    """The bits per byte of all held-out text after each pass of one life."""
    config = StepConfig(model, OptimizerConfig(), jnp.dtype(dtype))
    state = init_state(model, config.optimizer, jax.random.key(seed))
    held_out = sample_held_out(book, model.context, None)
    steps = 0
    for number in range(passes):
        windows = window_stream(book, seed=seed, pass_=number, context=model.context)
        for first in range(windows.n_windows):
            rate = LEARNING_RATE * min(1.0, (steps + 1) / WARMUP_STEPS)
            state, loss = train_step(state, windows.batch(first, 1), rate, config)
            loss.block_until_ready()
            steps += 1
        bits = bits_per_byte(state.params, held_out, tokenizer.n_bytes_V, config)
        yield {"seed": seed, "dtype": dtype, "passes": number + 1, "steps": steps, "bits": bits}


def table(records: list[dict[str, Any]]) -> str:
    """Bits per byte of each seed after each pass, and the differences of the two dtypes."""
    bits = {(r["passes"], r["seed"], r["dtype"]): r["bits"] for r in records}
    passes, seeds = (sorted({key[i] for key in bits}) for i in (0, 1))
    lines = [
        "| passes | steps | bfloat16, by seed | float32, by seed | bfloat16 − float32, mean |",
        "| --- | --- | --- | --- | --- |",
    ]
    for number in passes:
        steps = next(r["steps"] for r in records if r["passes"] == number)
        shown = [
            ", ".join(f"{bits[number, seed, dtype]:.4f}" for seed in seeds) for dtype in DTYPES
        ]
        gaps = [bits[number, seed, "bfloat16"] - bits[number, seed, "float32"] for seed in seeds]
        lines.append(f"| {number} | {steps} | {' | '.join(shown)} | {statistics.mean(gaps):+.4f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
