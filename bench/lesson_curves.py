"""Draws what is kept of lessons, and what they cost: docs/lessons.png.

    python -m bench.lesson_curves --out=docs/lessons.png

On the left the facts that are right by how many lessons ago each was taught, in the middle those
that are word for word right after every one of twenty books, on the right held-out text.
"""

import argparse
import json
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np

from bench.teaching.talk import lessons_of

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Record = dict[str, Any]
HERE = Path(__file__).parent
FACTS, OTHERS, LATER = 100, 200, 300
# Lessons of one point.
BIN = 50


class Curve(NamedTuple):
    """Runs of 100 facts that are drawn as one: records of a file by what they call their way."""

    label: str
    file: str
    ways: tuple[str, ...]
    colour: str


CURVES = (
    Curve(
        "six rehearsals at the lesson's rate",
        "fourth_base",
        ("300 lessons", "product, 600 lessons"),
        "tab:blue",
    ),
    Curve(
        "twelve at half of it",
        "fifth_base",
        ("100 facts, twelve rehearsals at half the rate",),
        "tab:orange",
    ),
)


def main() -> None:
    """Writes one PNG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    figure, (kept, books, text) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for curve in CURVES:
        named = [record for record in load(curve.file) if record.get("way") in curve.ways]
        records = [record for record in named if not record.get("rested")]
        draw_kept(kept, curve, records)
        draw_held_out(text, curve, records)
    twenty = [r for r in load("read_after") if (r["what"], r.get("base")) == ("book", "starter")]
    draw_books(books, twenty)
    kept.set(xlabel="lessons since it was taught", ylabel="facts right", ylim=(0, 1.03))
    books.set(xlabel="books read since", ylabel="facts word for word", ylim=(0, 1.03))
    text.set(xlabel="lessons", ylabel="held-out bits per byte, change")
    for axes in (kept, books, text):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(arguments.out, dpi=110)


def load(name: str) -> list[Record]:
    """The records of one of the files beside this module."""
    lines = (HERE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def draw_kept(axes, curve: Curve, records: Sequence[Record]) -> None:
    """The share of right facts by age, over the last full measurement of every life."""
    last = {record["seed"]: record for record in records if "wrong" in record}
    found = [aged for record in last.values() for aged in right_by_age(record)]
    ages, right = (np.array(values) for values in zip(*found, strict=True))
    bins = ages // BIN
    middles = [BIN * (number + 0.5) for number in np.unique(bins)]
    shares = [right[bins == number].mean() for number in np.unique(bins)]
    axes.plot(middles, shares, marker="o", markersize=3, label=curve.label, color=curve.colour)


def right_by_age(record: Record) -> list[tuple[int, bool]]:
    """Of every fact how many lessons came after it, and whether its answer has the keyword."""
    drawn = Namespace(seed=record["seed"], facts=FACTS, others=OTHERS, later=LATER)
    facts, mixed, _ = lessons_of(drawn)
    wrong = {say for say, _ in record["wrong"]}
    taught = {lesson["say"]: number for number, lesson in enumerate(mixed, start=1)}
    return [(record["lessons"] - taught[f["say"]], f["say"] not in wrong) for f in facts]


def draw_held_out(axes, curve: Curve, records: Sequence[Record]) -> None:
    """Held-out text against lessons, a line for each life, relative to its first measurement."""
    for number, seed in enumerate(sorted({record["seed"] for record in records})):
        points = [(r["lessons"], r["held_out"]) for r in records if r["seed"] == seed]
        lessons, bits = (np.array(values) for values in zip(*points, strict=True))
        label = None if number else curve.label
        axes.plot(lessons, bits / bits[0] - 1, color=curve.colour, label=label)
    axes.yaxis.set_major_formatter(matplotlib.ticker.PercentFormatter(1.0))


def draw_books(axes, records: Sequence[Record]) -> None:
    """Facts word for word after every book, with and without old lessons on the way."""
    lives: list[list[Record]] = []
    for record in records:
        if record.get("lessons"):
            lives.append([])
        lives[-1].append(record)
    for life in lives:
        label = "old lessons come back" if life[-1]["rehearse_every"] else "books alone"
        axes.plot([record["recall"] for record in life], marker="o", markersize=3, label=label)


if __name__ == "__main__":
    main()
