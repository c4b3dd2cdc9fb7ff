"""`--mode=plan` beside what a newborn model of each size really took (docs/memory.md).

    python -m bench.plan measure --size=10m --size=50m [--dtype=float32 --remat]
    python -m bench.plan show [--results=bench/plan.jsonl --out=docs/memory.png]

`measure` asks for the plan and then lets a model read, reply, learn, rehearse and save, each in a
process of its own, and appends one JSON object a size. `show` prints the table of the last object
of each size and draws it.
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROMPT = "Tell me the story of the old man and the sea from the beginning."
ANSWER = "It is a long story, and it begins at sea."
READING_STEPS, TURNS, BATCH = 2, 2, 8
# What the seeds say: 24 bytes a parameter, and a table in GB (float32) at its own sizes.
SEED_BYTES = 24
SEED_TABLE = {50e6: 2, 125e6: 5, 350e6: 12, 1.3e9: 40, 3e9: 90}


class Phases:
    """Seconds and the most memory of each phase; the last one of a name counts, of memory all."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak_bytes: dict[str, int] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        from train.memory import peak_bytes, restart_peak

        restart_peak()
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started
        self.peak_bytes[name] = max(peak_bytes(), self.peak_bytes.get(name, 0))
        sys.stderr.write(f"{name}: {self.seconds[name]:.2f} s, {peak_bytes() / 1e9:.3f} GB\n")


def live(size: str, dtype: str, remat: bool, workdir: Path) -> dict[str, Any]:
    """Seconds and peak bytes of the first minutes of a newborn model, lived in this process."""
    from serve.allocator import keep_freed_memory
    from serve.compile_cache import use_compile_cache
    from serve.session import Session
    from serve.starter import starter_files
    from train.books import load_book
    from train.reading_plan import ReadingConfig
    from train.store import StoreConfig

    keep_freed_memory()
    use_compile_cache()
    phase = Phases()
    books = [load_book(path) for path in starter_files()]
    with phase("open"):
        _bear(size, dtype, workdir, books)
        session = Session.open(workdir, store=StoreConfig(kind="ram", remat=remat))
    with session:

        def updates() -> int:
            return int(session.present.train.opt_state["norm_out"][1].count)

        # A newborn's own replies never end, so that every lesson would ask for them in vain.
        session.recipe = dataclasses.replace(session.recipe, own=0)
        reports: list[Any] = []
        read = 0
        for steps in (1, READING_STEPS + 1):
            read = reports.pop().windows_read if reports else 0
            wanted = ReadingConfig(
                epochs=None, steps=steps * BATCH, batch_size=BATCH, held_out_windows=1
            )
            with phase("reading"):
                for report in session.read(books[:1], wanted, lambda: bool(reports)):
                    reports.append(report)
        row = reports.pop()
        # A row ends after some seconds, whatever was wanted.
        steps = (row.windows_read - read) / BATCH
        step_seconds = row.tokens / row.tokens_per_second / steps
        for _ in range(TURNS):
            session.forget_context()
            # Otherwise it would be due while the replies are timed.
            with phase("save"):
                session.save()
            with phase("replies"):
                turn = session.say(PROMPT)
            with phase("lesson"):
                lesson = turn.teach(ANSWER)
            before = updates()
            with phase("rehearsals"):
                session.settle()
        # As many as are due, which the plan counts as the most there can be.
        made = updates() - before
    seconds = phase.seconds | {"reading step": step_seconds, "lesson": lesson.seconds}
    seconds["rehearsal"] = seconds["rehearsals"] / made
    return {"seconds": seconds, "peak_bytes": phase.peak_bytes}


def _bear(size: str, dtype: str, workdir: Path, books: list[Any]) -> None:
    import jax.numpy as jnp

    from model.config import new_config
    from train.life import create_life
    from train.optimizer import OptimizerConfig
    from train.step import StepConfig

    shutil.rmtree(workdir, ignore_errors=True)
    config = StepConfig(new_config(size), OptimizerConfig(), jnp.dtype(dtype))
    texts = (document.text for book in books for document in book.documents if document.text)
    create_life(workdir, config, seed=0, texts=texts).close()


def measure(size: str, dtype: str, remat: bool, workdir: Path) -> dict[str, Any]:
    """The plan of a size and what it really took."""
    flags = [f"--size={size}", f"--dtype={dtype}", f"--workdir={workdir}"]
    flags += ["--remat"] * remat
    plan = _json([sys.executable, "-m", "serve.main", "--mode=plan", "--json", *flags])
    with tempfile.TemporaryDirectory() as cache:
        # Everything is compiled anew, as the plan has it.
        live = [sys.executable, "-m", "bench.plan", "live", *flags]
        real = _json(live, os.environ | {"XDG_CACHE_HOME": cache})
    shutil.rmtree(workdir)
    again = _json([sys.executable, "-m", "bench.plan", "machine", *flags])
    row = {"size": size, "dtype": dtype, "remat": remat, "plan": plan, "real": real}
    return row | {"machine_after": again}


def _json(command: list[str], env: dict[str, str] | None = None) -> dict[str, Any]:
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=env).stdout)


def machine(dtype: str) -> dict[str, float]:
    """The rates of the machine at this moment, in a process of its own."""
    import jax.numpy as jnp

    from train.machine import measure_machine

    return dataclasses.asdict(measure_machine(Path(), jnp.dtype(dtype)))


PAIRS = (
    ("replies", "replies_seconds"),
    ("lesson", "lesson_seconds"),
    ("rehearsal", "rehearsal_seconds"),
    ("reading step", "reading_step_seconds"),
    ("save", "save_seconds"),
)


def table(rows: list[dict[str, Any]]) -> str:
    """Plan, measurement and their ratio, a line a size, Markdown.

    Where the rates of the machine changed meanwhile, the times say nothing.
    """
    from train.recipe import RECIPES

    names = ["size", "products", "memory, GB", *(f"{name}, s" for name, _ in PAIRS)]
    names.append("GFLOP/s before, after")
    lines = [names, ["---"] * len(names)]
    for row in rows:
        plan, real = row["plan"], row["real"]
        pairs = [(plan["peak_bytes"] / 1e9, max(real["peak_bytes"].values()) / 1e9)]
        times = dict(plan["times"])
        times["rehearsal_seconds"] /= RECIPES["rehearsed"].rehearsals_of(plan["parameters"])
        pairs += [(times[planned], real["seconds"][name]) for name, planned in PAIRS]
        cells = [f"{p:.3g} / {r:.3g} ({100 * (p / r - 1):+.0f} %)" for p, r in pairs]
        rates = [
            rate["product_flops"] / 1e9
            for rate in (plan["machine"], row.get("machine_after"))
            if rate
        ]
        cells.append(", ".join(f"{rate:.0f}" for rate in rates))
        lines.append([row["size"], _kind(row), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _kind(row: dict[str, Any]) -> str:
    return row["dtype"] + ", remat" * row.get("remat", False)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Memory by parameters as PNG: planned, measured, and what the seeds say."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    count = [row["plan"]["parameters"] for row in rows]
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    axes.plot(
        SEED_TABLE.keys(),
        SEED_TABLE.values(),
        "v:",
        color="tab:red",
        label="a seed's table, float32",
    )
    ends = [min(count), max(SEED_TABLE)]
    axes.plot(
        ends, [SEED_BYTES * n / 1e9 for n in ends], ":", color="tab:orange",
        label=f"a seed's {SEED_BYTES} bytes a parameter",
    )  # fmt: skip
    axes.plot(count, [row["plan"]["peak_bytes"] / 1e9 for row in rows], "-", label="--mode=plan")
    real = [max(row["real"]["peak_bytes"].values()) / 1e9 for row in rows]
    axes.plot(count, real, "o", color="black", label="measured")
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="memory held at most, GB")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measures, or shows what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("measure", "live", "machine", "show"))
    parser.add_argument("--size", action="append", default=[])
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--remat", action="store_true")
    parser.add_argument("--workdir", type=Path, default=Path("plan-life"))
    parser.add_argument("--results", type=Path, default=Path("bench/plan.jsonl"))
    parser.add_argument("--out", type=Path, default=Path("docs/memory.png"))
    given = parser.parse_args()
    if given.what == "live":
        print(json.dumps(live(given.size[0], given.dtype, given.remat, given.workdir)))
    elif given.what == "machine":
        print(json.dumps(machine(given.dtype)))
    elif given.what == "measure":
        for size in given.size:
            row = measure(size, given.dtype, given.remat, given.workdir)
            with given.results.open("a") as results:
                results.write(json.dumps(row) + "\n")
    else:
        rows = [json.loads(line) for line in given.results.read_text().splitlines()]
        last = list({(_kind(row), row["size"]): row for row in rows}.values())
        print(table(last))
        draw([row for row in last if _kind(row) == "bfloat16"], given.out)


if __name__ == "__main__":
    main()
