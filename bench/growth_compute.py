"""Loss against compute: a small model that grows, and a large one from scratch.

    python -m bench.growth_compute --shelf=BOOKS --out=FILE.jsonl --bases=FOLDER

A model of 2 M parameters reads, grows to 11 M on all four axes, and reads on; what it read while it
was small is charged to it. Compute is counted in multiplications and additions of training steps
(`grow.plan.flops_per_token`); the CPU seconds of the steps are recorded besides. One JSON line per
arm and seed: [compute, held-out nats per token] at even marks.
"""

import argparse
import json
import math
from pathlib import Path

import jax

from bench.growth_arms import (
    IN_USE,
    OPTIMIZER,
    RATE,
    SMALL,
    WARMUP,
    Run,
    Treatment,
    even_marks,
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
from grow.plan import flops_per_token
from model.axes import count_parameters
from train.state import init_state

MARKS = 8


def from_scratch(small, big, base, seed: int, first: int) -> Run:
    """The large model at birth."""
    del small, base, first
    return Run(init_state(big, OPTIMIZER, jax.random.key(seed)), big, (), WARMUP)


ARMS = {
    "scratch": (from_scratch, IN_USE),
    "exact growth": (exact, IN_USE),
    "seed recipe": (seed_recipe, IN_USE),
    "exact growth, no width rule": (exact, Treatment(width_rule=False)),
    "not grown": (not_grown, IN_USE),
}


def main() -> None:
    """Runs every arm at every seed and appends the curves to the output file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shelf", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bases", type=Path, required=True)
    parser.add_argument("--seed", type=int, action="append", required=True)
    parser.add_argument("--base_steps", type=int, default=600)
    parser.add_argument("--large_steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--arms", default="scratch;exact growth;seed recipe")
    arguments = parser.parse_args()
    small = small_config()
    big = large_config(small)
    shelf = read_shelf(arguments.shelf, small, 16)
    for name in arguments.arms.split(";"):
        make, treatment = ARMS[name]
        with treated(treatment):
            for seed in arguments.seed:
                record = measure(name, make, small, big, shelf, seed, arguments)
                with arguments.out.open("a") as file:
                    file.write(json.dumps(record) + "\n")


def measure(name, make, small, big, shelf, seed: int, arguments):
    """One arm's curve at one seed; every arm ends at the same compute."""
    tokens = arguments.batch * SMALL["context"]
    first, last = arguments.base_steps, arguments.large_steps
    base, before, _ = make_base(small, shelf, seed, first, arguments.batch, arguments.bases)
    cost = {size: flops_per_token(size) * tokens for size in (small, big)}
    total = first * cost[small] + last * cost[big]
    run = make(small, big, base, seed, first)
    grew = make is not from_scratch
    if not grew:
        first, before = 0, []
    spent = first * cost[small]
    price = cost[small] if run.config == small else cost[big]
    steps = math.ceil((total - spent) / price)
    marks = even_marks(steps, MARKS) | {step for step in (5, 20) if step < steps and grew}
    _, curve, seconds = read_on(
        run, shelf, seed, first, steps, arguments.batch, marks, arguments.rate
    )
    return {
        "arm": name,
        "seed": seed,
        "rate": arguments.rate,
        "parameters": count_parameters(run.config),
        "steps": steps,
        "cpu_seconds_per_step": seconds,
        "curve": [
            *([step * cost[small], nats] for step, nats in before),
            *([spent + step * price, nats] for step, nats in curve),
        ],
    }


if __name__ == "__main__":
    main()
