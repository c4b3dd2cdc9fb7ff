"""The tables of docs/growth.md from the results of the growth benches.

    python -m bench.growth_report dip --results=bench/growth_dip.jsonl
    python -m bench.growth_report compute --results=bench/growth_compute.jsonl

Intervals are 95 % ones of the mean over seeds, by Student's t.
"""

import argparse
import itertools
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

# Student's t at 97.5 % by the number of seeds.
T = {2: 12.71, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}


def main() -> None:
    """Prints one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["dip", "compute"])
    parser.add_argument("--results", type=Path, required=True)
    arguments = parser.parse_args()
    runs = defaultdict(dict)
    for line in arguments.results.read_text().splitlines():
        record = json.loads(line)
        runs[record["arm"]][record["seed"]] = record["curve"]
    (print_dip if arguments.what == "dip" else print_compute)(runs)


def print_dip(runs) -> None:
    """The largest and the last excess over the model that was not grown, at equal steps."""
    plain = runs.pop("not grown")
    print("| arm | seeds | dip within 50 steps | excess at the last step |\n|---|---|---|---|")
    for arm, curves in runs.items():
        excesses = []
        for seed, curve in curves.items():
            # Loss before the first step is no dip of an exact growth, but is one of a recipe.
            excesses.append([curve[step] - plain[seed][step] for step in curve])
        worst = [max(excess) for excess in excesses]
        last = [excess[-1] for excess in excesses]
        print(f"| {arm} | {len(worst)} | {mean_of(worst)} | {mean_of(last)} |")


def print_compute(runs) -> None:
    """Compute saved until the loss that scratch ends with, and the worst moment against others."""
    scratch = runs["scratch"]
    print(
        "| arm | seeds | compute saved to the last loss of scratch | last loss |\n|---|---|---|---|"
    )
    for arm, curves in runs.items():
        saved = [
            1 - reached(curve, scratch[seed][-1][1]) / scratch[seed][-1][0]
            for seed, curve in curves.items()
            if seed in scratch
        ]
        last = [curve[-1][1] for curve in curves.values()]
        print(f"| {arm} | {len(last)} | {mean_of([100 * s for s in saved])} % | {mean_of(last)} |")
    for arm in runs:
        if arm not in ("exact growth", "scratch") and "exact growth" in runs:
            print(f"exact growth less {arm}: {worst_against(runs, arm)}")


def reached(curve, loss: float) -> float:
    """The compute at which a curve first comes down to a loss; infinite if it never does."""
    for (before, high), (after, low) in itertools.pairwise(curve):
        if low <= loss:
            share = (high - loss) / (high - low) if high > loss else 0.0
            return before + share * (after - before)
    return float("inf")


def worst_against(runs, arm: str) -> str:
    """Exact growth's loss less another arm's at equal compute after the growth: largest, last."""
    found = []
    for seed, curve in runs[arm].items():
        compute, loss = np.array(runs["exact growth"][seed]).T
        others, other_loss = np.array(curve).T
        born = compute[np.argmin(np.diff(compute))]
        marks = compute[compute >= born]
        less = np.interp(marks, compute, loss) - np.interp(marks, others, other_loss)
        found.append([np.max(less), less[-1]])
    largest, last = np.array(found).T
    return f"at most {mean_of(largest)}, at the end {mean_of(last)} nats ({len(found)} seeds)"


def mean_of(values) -> str:
    """Mean and interval as text; the interval is left out of a single value."""
    values = np.asarray(values, float)
    if len(values) == 1:
        return f"{values[0]:.3f}"
    interval = T[len(values)] * np.std(values, ddof=1) / len(values) ** 0.5
    return f"{np.mean(values):.3f} ± {interval:.3f}"


if __name__ == "__main__":
    main()
