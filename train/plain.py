"""Everything a model is as plain files that need no program of ours, and back."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from safetensors import SafetensorError
from safetensors.numpy import load_file

from model.config import ModelConfig
from train.durable import new_folder
from train.flat_tree import flatten_tree, path_string, tree_digest
from train.journal import Journal
from train.life import BIRTH_WEIGHTS, Life, LifeState, open_life
from train.manifest import read_manifest, seal, verify_files
from train.newborn import read_growths, write_growths
from train.records import Event, event_checksum
from train.relive import copy_life
from train.saved import save
from train.schedule import read_memory, write_memory
from train.state import abstract_state
from train.tensor_file import write_leaves

EVENTS, WEIGHTS = "events.jsonl", "weights.safetensors"


def export_life(life: Life, state: LifeState, folder: Path) -> None:
    """`folder` holds the life: events as JSON lines, weights and moments as safetensors, the rest.

    Beside them the tokenizer, the cleaned books, the context, and MANIFEST.json with the SHA-256
    of every file and of the whole tree.

    Raises:
      ValueError: `folder` holds something already.
    """
    with new_folder(folder) as part:
        copy_life(life, part / "life")
        for file in (part / "life").iterdir():
            if not file.name.startswith("journal.sqlite"):
                file.rename(part / file.name)
        shutil.rmtree(part / "life")
        with (part / EVENTS).open("w", encoding="utf-8") as file:
            for event in life.journal.events():
                row = {**vars(event), "sha256": event_checksum(event)}
                file.write(json.dumps(row) + "\n")
        write_leaves(part / WEIGHTS, flatten_tree(state.train))
        body = {
            "event": state.event,
            "digest": tree_digest(state.train),
            "model": state.config.model.to_json(),
            "growths": write_growths(state.config.growths),
            "steps": state.steps,
            "lessons": state.lessons,
            "memory": write_memory(state.memory),
        }
        seal(part, body)


def revive_life(exported: Path, workdir: Path) -> None:
    """The model folder `workdir` holds the life that `export_life` wrote, weights and all.

    Raises:
      ValueError: a damaged or missing file, or a `workdir` that holds something already.
    """
    manifest = read_manifest(exported)
    verify_files(exported, manifest["files"])
    with new_folder(workdir) as part:
        for file in exported.iterdir():
            if file.is_dir():
                shutil.copytree(file, part / file.name)
            elif file.name in ("tokenizer.model", "context.txt", BIRTH_WEIGHTS):
                shutil.copyfile(file, part / file.name)
                (part / file.name).chmod(0o600)
        with Journal.create(part / "journal.sqlite") as journal:
            journal.adopt(_rows(exported / EVENTS))
        with open_life(part) as life:
            save(life, _state(life, manifest, exported / WEIGHTS))


def _rows(path: Path) -> Iterator[tuple[Event, str]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield Event(row["id"], row["time"], row["kind"], row["data"]), row["sha256"]


def _state(life: Life, manifest: dict[str, Any], weights: Path) -> LifeState:
    config = life.birth_config._replace(
        model=ModelConfig.from_json(manifest["model"]), growths=read_growths(manifest["growths"])
    )
    try:
        arrays = load_file(weights)
    except SafetensorError as error:
        raise ValueError(
            f"the weights {weights} are damaged: {error}; take another copy."
        ) from error
    paths, structure = jax.tree.flatten_with_path(abstract_state(config.model, config.optimizer))
    train = jax.tree.unflatten(structure, [arrays[path_string(path)] for path, _ in paths])
    if tree_digest(train) != manifest["digest"]:
        raise ValueError(
            f"the weights {weights} are not those that were exported; take another copy."
        )
    memory = read_memory(manifest["memory"], lambda event: life.journal.event(event).data)
    counts = (manifest["event"], manifest["steps"], manifest["lessons"])
    return LifeState(train, config, *counts, memory)
