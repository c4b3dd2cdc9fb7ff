"""The page and the plot of bench/performance.py, from the turns that it wrote down."""

import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

from grow.plan import flops_per_token
from model.axes import count_parameters
from model.config import ModelConfig

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Record = dict[str, Any]
OURS = "ours bfloat16"
# Bytes that AdamW moves per parameter: weight, gradient and two moments in, three of them out.
UPDATE_BYTES = 28
BYTES_OF = {"float32": 4, "bfloat16": 2, "f32": 4, "f16": 2, "bf16": 2, "q8_0": 34 / 32}
STEP_TARGETS = {1: 1.25, 8: 1.1}
LESSON_TARGETS = {"10m": 1.0, "124m": 6.0}
# llm.c trains GPT-2 alone, from a C source tree that no package carries.
ABSENT = ["llm.c: GPT-2's architecture only, and in no package; it cannot take part here"]


def write_report(records: list[Record], out: Path) -> None:
    """`out` has performance.md and performance.png."""
    machine = next(record for record in records if record["item"] == "machine")
    roof = _roof(records)
    parts = [
        _head(machine),
        _roof_part(roof),
        _step_part(records, roof),
        _replies_part(records, roof),
        _lesson_part(records),
        _start_part(records),
        _memory_part(records),
        _read_part(records),
        _missing_part(records),
    ]
    (out / "performance.md").write_text("\n\n".join(part for part in parts if part) + "\n")
    _plot(records, out / "performance.png")


def _of(records: list[Record], item: str) -> Iterable[tuple[dict[str, Any], dict[str, Record]]]:
    """The settings of an item, each with its records by contestant that took part."""
    groups: dict[str, tuple[dict[str, Any], dict[str, Record]]] = {}
    for record in records:
        if record["item"] == item:
            group = groups.setdefault(repr(record["setting"]), (record["setting"], {}))
            if record["turns"]:
                group[1][record["name"]] = record
    return [(setting, found) for setting, found in groups.values() if found]


def _median(record: Record, field: str = "seconds") -> float:
    return statistics.median(turn[field] for turn in record["turns"])


def _roof(records: list[Record]) -> dict[str, float]:
    """The best rate of each kind that was seen before and after the contests."""
    turns = [turn for r in records if r["item"] == "roof" for turn in r["turns"]]
    fields = ("bfloat16_flops", "float32_flops", "read_bytes", "copy_bytes")
    return {field: max(turn[field] for turn in turns) for field in fields} if turns else {}


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f}" if seconds >= 0.1 else f"{seconds * 1e3:.1f}"


def _verdict(value: float, target: float, *, least: bool = True) -> str:
    met = value >= target if least else value <= target
    return f"{'≥' if least else '≤'} {target:g}: {'met' if met else '**missed**'}"


def _head(machine: Record) -> str:
    warning = (
        "\n\n**A tiny setting that shows that everything runs; no figure here says anything.**"
    )
    return f"""# Performance

`{machine["command"]}` on {machine["day"]} (`make bench` runs all of it): \
{machine["processor"]}, {machine["cores"]} cores, Python {machine["python"]}, \
jaxlib {machine["jaxlib"]}. All contestants of a table took turns in one run \
(A B C, C B A, …); figures are medians over turns.{warning if machine["tiny"] else ""}

![times beside others](performance.png)"""


def _roof_part(roof: dict[str, float]) -> str:
    if not roof:
        return ""
    rows = [
        ["matrix product, bfloat16 to float32", f"{roof['bfloat16_flops'] / 1e9:.0f} GFLOP/s"],
        ["matrix product, float32", f"{roof['float32_flops'] / 1e9:.0f} GFLOP/s"],
        ["memory, read", f"{roof['read_bytes'] / 1e9:.1f} GB/s"],
        ["memory, read and write", f"{roof['copy_bytes'] / 1e9:.1f} GB/s"],
    ]
    return "## Roof\n\n" + _table(["what", "best seen in this run"], rows)


def _step_part(records: list[Record], roof: dict[str, float]) -> str:
    parts = []
    for setting, found in _of(records, "step"):
        model = ModelConfig.from_json(setting["model"])
        peers = {name: _median(record) for name, record in found.items() if name != OURS}
        rows = [[name, _ms(seconds), ""] for name, seconds in peers.items()]
        if OURS in found:
            mine = _median(found[OURS])
            if peers:
                ratio = min(peers.values()) / mine
                verdict = _verdict(ratio, STEP_TARGETS[setting["batch"]])
                rows.insert(0, [OURS, _ms(mine), f"{ratio:.2f} × the best peer; {verdict}"])
            else:
                rows.insert(0, [OURS, _ms(mine), ""])
            if roof:
                tokens = setting["batch"] * model.context
                best = flops_per_token(model) * tokens / roof["bfloat16_flops"]
                best += UPDATE_BYTES * count_parameters(model) / roof["copy_bytes"]
                share = best / mine
                verdict = _verdict(share, 0.6)
                rows.append(["roof", _ms(best), f"ours reaches {share:.0%}; {verdict}"])
        title = f"### {setting['size']}, batch {setting['batch']} × {model.context}"
        parts.append(f"{title}\n\n" + _table(["who", "ms a step", ""], rows))
    words = "PyTorch has the same architecture and fused AdamW, and does not clip gradients."
    return "## The training step\n\n" + "\n\n".join([words, *parts]) if parts else ""


def _replies_part(records: list[Record], roof: dict[str, float]) -> str:
    parts = []
    for setting, found in _of(records, "replies"):
        rows = []
        model = ModelConfig.from_json(setting["model"])
        for name, record in sorted(found.items(), key=lambda item: _median(item[1])):
            seconds = _median(record)
            rate = setting["replies"] * setting["tokens"] / seconds
            share = ""
            if roof:
                # Every step reads every weight once, for all replies; the prompt is one product.
                n_bytes = count_parameters(model) * BYTES_OF[name.split()[-1]]
                best = setting["tokens"] * n_bytes / roof["read_bytes"]
                best += flops_per_token(model) / 3 * setting["prompt"] / roof["bfloat16_flops"]
                share = f"{best / seconds:.0%}"
            rows.append([name, _ms(seconds), f"{rate:,.0f}", share])
        title = (
            f"### {setting['size']}, {setting['replies']} × {setting['tokens']} tokens after "
            f"{setting['prompt']}"
        )
        table = _table(["who", "ms", "tokens/s", "of the roof at its precision"], rows)
        parts.append(f"{title}\n\n{table}\n\n{_equal_precision(found)}")
    words = "Sampling with temperature 0.7 and top-p 0.95, prompt included."
    return "## Replies\n\n" + "\n\n".join([words, *parts]) if parts else ""


def _equal_precision(found: dict[str, Record]) -> str:
    said = []
    for mine, theirs in (("bfloat16", "bf16"), ("float32", "f32")):
        left, right = found.get(f"ours {mine}"), found.get(f"llama.cpp {theirs}")
        if left and right:
            ratio = _median(right) / _median(left)
            said.append(f"{mine}: {ratio:.2f} × llama.cpp ({_verdict(ratio, 1.0)})")
    return "At equal precision, " + "; ".join(said) + "." if said else ""


def _lesson_part(records: list[Record]) -> str:
    rows = []
    for setting, found in _of(records, "lesson"):
        for record in found.values():
            seconds, target = _median(record), LESSON_TARGETS.get(setting["size"])
            names = ("replies", "update", "owed")
            times = [f"{_median(record, name):.2f}" for name in names]
            verdict = _verdict(seconds, target, least=False) if target else ""
            tokens = f"{_median(record, 'tokens'):.0f}"
            rows.append([setting["size"], f"{seconds:.2f}", *times, tokens, verdict])
    head = [
        "model",
        "s a lesson",
        "five replies",
        "update and row",
        "made later, while nobody waits",
    ]
    head += ["tokens of the longest reply", "target"]
    return "## A lesson\n\n" + _table(head, rows) if rows else ""


def _start_part(records: list[Record]) -> str:
    rows = []
    for setting, found in _of(records, "start"):
        for name, record in found.items():
            seconds = _median(record)
            verdict = _verdict(seconds, 3.0, least=False) if name == "warm" else ""
            replies = ""
            if name != "help":
                replies = f"{_median(record, 'replies'):.2f}"
            if name == "warm":
                verdict += "; replies " + _verdict(_median(record, "replies"), 1.5, least=False)
            what = "--help" if name == "help" else f"{setting['size']}, {name} compile cache"
            rows.append([what, f"{seconds:.2f}", replies, verdict])
    head = ["start", "s to the prompt", "s more to all five replies", "target"]
    return "## Start\n\n" + _table(head, rows) if rows else ""


def _memory_part(records: list[Record]) -> str:
    rows = []
    for setting, found in _of(records, "step"):
        for name, record in found.items():
            last, parameters = record["turns"][-1], record["about"]["parameters"]
            each, whole = last["bytes"] / parameters, last["process"] / 1e9
            allowed = (14 * parameters + 0.5e9) / 1e9
            judged = name == OURS and setting["size"] == "124m" and setting["batch"] == 1
            verdict = _verdict(whole, round(allowed, 2), least=False) if judged else ""
            model = f"{setting['size']}, batch {setting['batch']}"
            rows.append([model, name, f"{each:.1f}", f"{whole:.2f}", verdict])
    head = ["model", "who", "bytes a parameter over the libraries", "process, GB", "target"]
    return "## Peak memory of the steps above\n\n" + _table(head, rows) if rows else ""


def _read_part(records: list[Record]) -> str:
    rows = []
    for setting, found in _of(records, "read"):
        if {"reading", "bare step"} <= found.keys():
            record = found["reading"]
            context, windows = (record["turns"][0][name] for name in ("context", "windows"))
            whole, steps = _median(record), _median(record, "steps_seconds")
            bare = _median(found["bare step"]) / setting["batch"]
            rates = [f"{context / seconds:,.0f}" for seconds in (whole, steps, bare)]
            shares = [f"{bare / whole:.1%} ({_verdict(bare / whole, 0.95)})", f"{bare / steps:.1%}"]
            once = f"{(whole - steps) * windows:.1f}"
            # How long a book has to be for what is done once to be within the target.
            spare = bare / 0.95 - steps
            enough = f"{(whole - steps) * windows / spare:,.0f}" if spare > 0 else "none"
            title = f"{setting['size']}, batch {setting['batch']}, {windows} windows"
            rows.append([title, *rates, *shares, once, enough])
    head = ["book", "tokens/s, all included", "of its steps", "of the bare step", "share"]
    head += ["share of the steps", "s once a book", "windows for which 95 % are reached"]
    return "## Reading\n\n" + _table(head, rows) if rows else ""


def _missing_part(records: list[Record]) -> str:
    named = [
        f"{record['name']} ({record['item']} {record['setting'].get('size', '')}): "
        f"{record['missing']}"
        for record in records
        if record.get("missing")
    ]
    return "## Did not take part\n\n" + "\n".join(f"* {line}" for line in [*ABSENT, *named])


def _plot(records: list[Record], path: Path) -> None:
    """Bars of every step and replies setting: milliseconds by contestant, ours in colour."""
    groups = [(item, *group) for item in ("step", "replies") for group in _of(records, item)]
    figure, grid = plt.subplots(
        max(len(groups), 1), figsize=(7, 2.2 * max(len(groups), 1)), layout="constrained"
    )
    for axes, (item, setting, found) in zip(
        grid if len(groups) > 1 else [grid], groups, strict=False
    ):
        names = sorted(found, key=lambda name: -_median(found[name]))
        colours = ["tab:orange" if name.startswith("ours") else "tab:gray" for name in names]
        axes.barh(names, [_median(found[name]) * 1e3 for name in names], color=colours)
        about = f"batch {setting['batch']}" if item == "step" else f"{setting['replies']} replies"
        axes.set_title(f"{item}, {setting['size']}, {about}", fontsize=9)
        axes.set_xlabel("ms", fontsize=8)
        axes.tick_params(labelsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)
