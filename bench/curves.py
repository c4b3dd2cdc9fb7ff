"""Draws the curves of docs/first-run.md and docs/growth.md.

    python -m bench.curves reading --workdir=LIFE --out=FILE.png
    python -m bench.curves defaults --results=FILE.jsonl --out=FILE.png
    python -m bench.curves growth --results=FILE.jsonl --out=FILE.png

The reading curve is the loss of every window before it was learned, so each point is text that the
model had never seen; a growth is a red line in it.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import matplotlib
import numpy as np

from train.journal import Journal

matplotlib.use("Agg")
from matplotlib import pyplot as plt

ROWS_PER_POINT = 6


def main() -> None:
    """Writes one PNG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["reading", "defaults", "growth"])
    parser.add_argument("--workdir", type=Path)
    parser.add_argument("--results", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    if arguments.what == "reading":
        draw_reading(axes, arguments.workdir)
    elif arguments.what == "defaults":
        draw_defaults(axes, arguments.results)
    else:
        draw_growth(axes, arguments.results)
    axes.grid(alpha=0.3)
    figure.savefig(arguments.out, dpi=120)


def draw_reading(axes, workdir: Path) -> None:
    """Bits per byte against minutes of reading, by the rows of a journal."""
    with Journal.open(workdir / "journal.sqlite", read_only=True) as journal:
        events = list(journal.events(kinds=("read", "grow")))
    rows = [event.data for event in events if event.kind == "read"]
    minutes = np.cumsum([row["seconds"] for row in rows]) / 60
    reads_before = np.cumsum([event.kind == "read" for event in events])
    for event, count in zip(events, reads_before, strict=True):
        if event.kind == "grow":
            axes.axvline(minutes[count - 1] if count else 0, color="red", linewidth=1)
    bits = np.array([row["loss_bits_per_byte"] for row in rows])
    tokens = np.array([row["tokens"] for row in rows], float)
    starts = np.arange(0, len(rows), ROWS_PER_POINT)
    weighted = np.add.reduceat(bits * tokens, starts) / np.add.reduceat(tokens, starts)
    axes.plot(minutes[np.minimum(starts + ROWS_PER_POINT - 1, len(rows) - 1)], weighted)
    axes.set(xlabel="minutes of reading", ylabel="bits per byte of unseen text")


def draw_defaults(axes, results: Path) -> None:
    """Held-out bits per byte of every arm against its charged time."""
    arms = defaultdict(list)
    for line in results.read_text().splitlines():
        record = json.loads(line)
        arms[record["arm"]].append((record["seconds"] / 60, record["held_out_bits_per_byte"]))
    for arm, points in arms.items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=arm)
    axes.set(xlabel="minutes on two cores", ylabel="held-out bits per byte")
    axes.legend(fontsize=7)


def draw_growth(axes, results: Path) -> None:
    """Held-out nats per token of every arm against compute, the mean over seeds."""
    arms = defaultdict(list)
    for line in results.read_text().splitlines():
        record = json.loads(line)
        arms[record["arm"]].append(np.array(record["curve"]))
    for arm, curves in arms.items():
        compute, loss = np.mean(curves, axis=0).T
        axes.plot(compute / 1e12, loss, marker="o", markersize=3, label=f"{arm} ({len(curves)})")
    axes.set(
        xlabel="10¹² multiplications and additions",
        ylabel="held-out nats per token",
        ylim=(None, 6.6),
    )
    axes.legend(fontsize=7)


if __name__ == "__main__":
    main()
