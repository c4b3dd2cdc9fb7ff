"""Modes that keep a life: lived again in another folder, as plain files, and back from them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from serve.flags import Options
from serve.output import Output
from train.life import Life, open_life
from train.plain import revive_life
from train.relive import Compared, relive
from train.versions import changed_versions


def replay(options: Options, output: Output) -> int:
    """Lives the whole life again in the folder --into; returns the exit code.

    Different bits are an error only where versions and processor are those of the birth.
    """
    if options.into is None:
        raise ValueError("--mode=replay wants a folder for the new life, got none; give --into.")
    started = time.monotonic()
    with open_life(options.folder, read_only=True, store=options.store_config) as life:
        found = []
        for compared in relive(life, Path(options.into).expanduser()):
            found.append(compared)
            record = compared._asdict()
            output.replayed({"event": "replay", "event_id": record.pop("event"), **record})
        changed = changed_versions(life.birth["versions"])
        output.replayed(_summary(life, found, changed, time.monotonic() - started))
    if changed or all(compared.equal for compared in found):
        return 0
    raise ValueError(
        f"the life in {options.folder} was lived again with the same versions and processor but "
        "other bits; keep both folders and report this."
    )


def _summary(
    life: Life, found: list[Compared], changed: dict[str, Any], seconds: float
) -> dict[str, Any]:
    differences = [c.largest_difference for c in found if c.largest_difference is not None]
    return {
        "event": "replayed",
        "events": len(life.journal.index()),
        "checkpoints": len(found),
        "equal": all(compared.equal for compared in found),
        "largest_difference": max(differences, default=None),
        "changed_versions": changed,
        "seconds": seconds,
    }


def revive(options: Options, output: Output) -> int:
    """Makes a model folder of the plain files in --exported; returns the exit code."""
    if options.exported is None:
        raise ValueError("--mode=revive wants a folder of plain files, got none; give --exported.")
    revive_life(Path(options.exported).expanduser(), options.folder)
    output.say(f"The model of {options.exported} lives in {options.folder}.")
    return 0


KEEPING: dict[str, Callable[[Options, Output], int]] = {"replay": replay, "revive": revive}
