"""How fast the step, the replies, a lesson, reading and the start are, beside others' programs.

    python -m bench.performance [--tiny] [--out=docs] [--raw=bench/performance.jsonl]

Every item is one contest: all contestants are set up, then take turns, so that a noisy machine is
noisy for all. Writes performance.md and performance.png into --out, and every turn into --raw. A
peer that cannot be run is named as missing with its reason. `make bench` runs it.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp

from bench.contest import OURS, PEERS, ROOT, Entry, contest
from bench.performance_report import write_report
from model.config import ModelConfig, new_config
from serve.export import export_model
from serve.flags import FORMATS
from serve.session import Session
from train.books import find_books, load_book
from train.life import create_life, open_life
from train.optimizer import OptimizerConfig
from train.reading_plan import ReadingConfig
from train.replay import restore
from train.step import StepConfig
from train.versions import versions

SHELF = ROOT / "serve" / "shelf"
BOOK = SHELF / "alice-in-wonderland.txt"
ITEMS = ("roof", "step", "replies", "lesson", "start", "read")
SAMPLING = {"temperature": 0.7, "top_p": 0.95}


class Scale(NamedTuple):
    """What is measured; `sizes` overrides dimensions of the named models."""

    sizes: dict[str, int]
    steps: tuple[tuple[str, int], ...]
    replies: tuple[str, ...]
    counts: tuple[int, ...]
    lessons: tuple[str, ...]
    small: str
    prompt: int
    tokens: int
    rounds: int
    roof: dict[str, int]
    book_chars: int | None = None


FULL = Scale(
    sizes={},
    steps=(("10m", 1), ("50m", 1), ("124m", 1), ("10m", 8)),
    replies=("10m", "124m"),
    counts=(1, 5),
    lessons=("10m", "50m", "124m", "350m"),
    small="10m",
    prompt=128,
    tokens=64,
    rounds=9,
    roof={"side": 2048, "bytes": 2**28, "repeats": 5},
)
TINY = Scale(
    sizes={"context": 128, "vocab_size": 2048, "n_layers": 2},
    steps=(("2m", 1),),
    replies=("2m",),
    counts=(1, 5),
    lessons=("2m",),
    small="2m",
    prompt=16,
    tokens=8,
    rounds=2,
    roof={"side": 256, "bytes": 2**22, "repeats": 2},
    book_chars=20_000,
)


class Job(NamedTuple):
    """One contest: what it is about, and who takes part."""

    item: str
    setting: dict[str, Any]
    entries: list[Entry]


def main() -> None:
    """Measures everything, writes the turns down as they come, then the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="only shows that everything runs")
    parser.add_argument("--items", default=",".join(ITEMS))
    parser.add_argument("--rounds", type=int, help="turns of each contestant")
    parser.add_argument("--replies", help="sizes of the models that answer")
    parser.add_argument("--counts", help="how many replies at once")
    parser.add_argument("--lessons", help="sizes of the models that are taught")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    parser.add_argument("--raw", type=Path, default=ROOT / "bench" / "performance.jsonl")
    arguments = parser.parse_args()
    scale = TINY if arguments.tiny else FULL
    if arguments.rounds:
        scale = scale._replace(rounds=arguments.rounds)
    if arguments.replies:
        scale = scale._replace(replies=tuple(arguments.replies.split(",")))
    if arguments.counts:
        scale = scale._replace(counts=tuple(map(int, arguments.counts.split(","))))
    if arguments.lessons:
        scale = scale._replace(lessons=tuple(arguments.lessons.split(",")))
    arguments.out.mkdir(parents=True, exist_ok=True)
    about = {
        "item": "machine",
        "cores": len(os.sched_getaffinity(0)),
        "tiny": arguments.tiny,
        "command": " ".join(["python -m bench.performance", *sys.argv[1:]]),
    }
    with tempfile.TemporaryDirectory() as name, arguments.raw.open("w") as raw:
        raw.write(json.dumps({**about, "day": time.strftime("%Y-%m-%d"), **versions()}) + "\n")
        for job in jobs(scale, Path(name), arguments.items.split(",")):
            shown = [f"{name} {value}" for name, value in job.setting.items() if name != "model"]
            sys.stderr.write(f"{time.strftime('%H:%M:%S')} {job.item}: {', '.join(shown)}\n")
            for entrant, result in contest(job.entries, scale.rounds).items():
                record = {"item": job.item, "setting": job.setting, "name": entrant}
                raw.write(json.dumps({**record, **result._asdict()}) + "\n")
                raw.flush()
    records = [json.loads(line) for line in arguments.raw.read_text().splitlines()]
    write_report(records, arguments.out)


def jobs(scale: Scale, folder: Path, items: Collection[str]) -> Iterator[Job]:
    """The contests of these items, the roof before and after the others; folders come as needed."""
    for item in ("roof", *(item for item in ITEMS if item != "roof"), "roof"):
        if item in items:
            yield from _jobs_of(item, scale, folder)


def _jobs_of(item: str, scale: Scale, folder: Path) -> Iterator[Job]:
    match item:
        case "roof":
            yield Job("roof", {}, [ours("roof", "roof", **scale.roof)])
        case "step":
            yield from (step_job(scale, size, batch) for size, batch in scale.steps)
        case "replies":
            for size in scale.replies:
                yield from replies_jobs(scale, size, folder)
        case "lesson":
            for size in scale.lessons:
                life = str(new_life(scale, size, folder))
                yield Job("lesson", {"size": size}, [ours("ours", "lesson", life=life)])
        case "start":
            yield start_job(scale, folder)
        case "read":
            yield from (read_job(scale, batch, folder) for batch in (1, 8))


def ours(name: str, what: str, **task: Any) -> Entry:
    return Entry(name, OURS, "bench.ours", {"what": what, **task})


def step_job(scale: Scale, size: str, batch: int) -> Job:
    """The training step against PyTorch, eager and compiled, float32 and bfloat16."""
    model = new_config(size, **scale.sizes)
    repeats = 5 if size in ("2m", "10m") and batch == 1 else 1
    common = {"batch": batch, "repeats": repeats}
    mine = {"size": size, "sizes": scale.sizes, **common}
    entries = [ours("ours bfloat16", "step", dtype="bfloat16", **mine)]
    theirs = {"sizes": {name: getattr(model, name) for name in _SIZES}, **common}
    for compiled in (False, True):
        for dtype in ("float32", "bfloat16"):
            name = f"PyTorch {'compiled' if compiled else 'eager'} {dtype}"
            task = {"dtype": dtype, "compile": compiled, **theirs}
            entries.append(Entry(name, PEERS, "bench.peers.torch_step", task))
    setting = {"size": size, "batch": batch, "model": model.to_json()}
    return Job("step", setting, entries)


_SIZES = (
    *("vocab_size", "d_model", "n_layers", "n_kv_heads", "n_query_groups"),
    *("head_dim", "d_ff", "context"),
)


def replies_jobs(scale: Scale, size: str, folder: Path) -> Iterator[Job]:
    """One and five replies against llama.cpp on the exported GGUF and transformers."""
    life = new_life(scale, size, folder)
    model = export_all(life)
    common = {"prompt": scale.prompt, "tokens": scale.tokens, "vocab_size": model.vocab_size}
    for count in scale.counts:
        task = {**common, **SAMPLING, "replies": count}
        entries = []
        for dtype in ("bfloat16", "float32"):
            entries.append(ours(f"ours {dtype}", "replies", dtype=dtype, life=str(life), **task))
            theirs = {**task, "dtype": dtype, "model": str(life.with_name(f"{life.name}-hub"))}
            module = "bench.peers.transformers_replies"
            entries.append(Entry(f"transformers {dtype}", PEERS, module, theirs))
        for dtype in FORMATS["gguf"]:
            file = life.with_name(f"{life.name}-{dtype}") / "model.gguf"
            module = "bench.peers.llama_cpp_replies"
            entries.append(Entry(f"llama.cpp {dtype}", PEERS, module, {**task, "model": str(file)}))
        setting = {"size": size, "replies": count, "model": model.to_json(), **common}
        yield Job("replies", setting, entries)


def start_job(scale: Scale, folder: Path) -> Job:
    """--help, and starts with and without compiled functions from before."""
    life = str(new_life(scale, scale.small, folder, "start"))
    with Session.open(life) as session:
        # An existing model has a checkpoint.
        list(session.read([load_book(BOOK)], ReadingConfig(steps=2, batch_size=1)))
    tasks = {
        "help": {"what": "help"},
        "warm": {"what": "prompt", "life": life, "cold": False},
        "cold": {"what": "prompt", "life": life, "cold": True},
    }
    entries = [Entry(name, OURS, "bench.starts", task) for name, task in tasks.items()]
    return Job("start", {"size": scale.small}, entries)


def read_job(scale: Scale, batch: int, folder: Path) -> Job:
    """A pass through a whole book against the bare step on as many windows."""
    life = new_life(scale, scale.small, folder, f"read-{batch}")
    book = folder / BOOK.name
    book.write_text(BOOK.read_text(encoding="utf-8")[: scale.book_chars], encoding="utf-8")
    bare = {"size": scale.small, "sizes": scale.sizes, "batch": batch, "repeats": 10}
    entries = [
        ours("reading", "read", life=str(life), book=str(book), batch=batch),
        ours("bare step", "step", dtype="bfloat16", **bare),
    ]
    return Job("read", {"size": scale.small, "batch": batch}, entries)


def new_life(scale: Scale, size: str, folder: Path, name: str = "") -> Path:
    """The model folder of a newborn model of a size, made at the first call."""
    life = folder / (name or size)
    if not life.exists():
        config = StepConfig(
            new_config(size, **scale.sizes), OptimizerConfig(), jnp.dtype("bfloat16")
        )
        books = [load_book(path) for path in find_books([SHELF])]
        texts = [document.text for book in books for document in book.documents if document.text]
        create_life(life, config, seed=0, texts=texts).close()
    return life


def export_all(life_folder: Path) -> ModelConfig:
    """LIFE-hub and LIFE-DTYPE beside the life are its exports; returns the config."""
    with open_life(life_folder, read_only=True) as life:
        state = restore(life)[0]
        hub = life_folder.with_name(f"{life_folder.name}-hub")
        if not hub.exists():
            export_model(life, state, hub, format_="huggingface")
            for dtype in FORMATS["gguf"]:
                to = life_folder.with_name(f"{life_folder.name}-{dtype}")
                export_model(life, state, to, format_="gguf", dtype=dtype)
        return state.config.model


if __name__ == "__main__":
    main()
