"""What growing costs in the first steps: the dip, for several ways to treat newborn entries.

    python -m bench.growth --shelf=BOOKS --out=FILE.jsonl --bases=FOLDER

A model of 2 M parameters reads a shelf; then it grows to 11 M on all four axes, and every arm goes
on from there with the same windows. The dip is the largest excess of its held-out loss over the
model that was not grown, at equal steps. One JSON line per arm and seed.
"""

import argparse
import functools
import json
from pathlib import Path

from bench.growth_arms import (
    IN_USE,
    NOTHING,
    Treatment,
    exact,
    large_config,
    make_base,
    not_grown,
    read_on,
    read_shelf,
    seed_recipe,
    small_config,
    treated,
)
from model.axes import count_parameters

MARKS = {0, 5, 10, 20, 35, 50}
ARMS = {
    "not grown": (not_grown, IN_USE),
    "as in use": (exact, IN_USE),
    "age-aware, ramp 50": (exact, Treatment(ramp=50, width_rule=False, age_aware=True)),
    "filled, ramp 50": (
        functools.partial(exact, filled=True),
        Treatment(ramp=50, width_rule=False),
    ),
    "nothing": (exact, NOTHING),
    "seed recipe": (seed_recipe, IN_USE),
    "ramp 100": (exact, Treatment(ramp=100, width_rule=False)),
}


def main() -> None:
    """Runs every arm at every seed and appends the measurements to the output file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shelf", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bases", type=Path, required=True)
    parser.add_argument("--seed", type=int, action="append", required=True)
    parser.add_argument("--base_steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--last", type=int, default=50)
    parser.add_argument("--arms", default=";".join(ARMS))
    arguments = parser.parse_args()
    small = small_config()
    big = large_config(small)
    shelf = read_shelf(arguments.shelf, small, 16)
    first, batch = arguments.base_steps, arguments.batch
    marks = {mark for mark in MARKS if mark <= arguments.last}
    bases = {
        seed: make_base(small, shelf, seed, first, batch, arguments.bases)[0]
        for seed in arguments.seed
    }
    for name in arguments.arms.split(";"):
        make, treatment = ARMS[name]
        with treated(treatment):
            for seed, base in bases.items():
                run = make(small, big, base, seed, first)
                _, curve, seconds = read_on(run, shelf, seed, first, arguments.last, batch, marks)
                record = {
                    "arm": name,
                    "seed": seed,
                    "parameters": [count_parameters(small), count_parameters(run.config)],
                    "curve": dict(curve),
                    "cpu_seconds_per_step": seconds,
                }
                with arguments.out.open("a") as file:
                    file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
