"""No damage of a checkpoint goes unseen, and nothing that does not fit is loaded."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checkpoint_cases import abstract_of, files_of, save, training_tree

from train import checkpoint, manifest
from train.checkpoint import load_checkpoint


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoint 7 of `training_tree()`; tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("saved")
    save(folder, training_tree())
    return folder


@pytest.fixture
def copied(saved: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved, tmp_path / "checkpoints")
    return tmp_path / "checkpoints"


def test_every_flipped_byte_is_seen(copied: Path) -> None:
    abstract, places = abstract_of(training_tree()), random.Random(5)
    for path in files_of(copied):
        whole = path.read_bytes()
        last = len(whole) - 1
        sample = {0, last, *(places.randrange(len(whole)) for _ in range(10))} if whole else ()
        for place in sample:
            flipped = whole[place] ^ (1 << places.randrange(8))
            path.write_bytes(whole[:place] + bytes([flipped]) + whole[place + 1 :])
            with pytest.raises(ValueError, match=f"{path.name}.* damaged; use an older"):
                load_checkpoint(copied, 7, abstract)
        path.write_bytes(whole)
    load_checkpoint(copied, 7, abstract)


_SENTENCES = {
    "missing": "is missing",
    "truncated": "has another size",
    "longer": "has another size",
    "folder": "is missing",
    "link": "is not a plain file",
}


@pytest.mark.parametrize("change", _SENTENCES)
def test_every_missing_or_resized_file_is_seen(copied: Path, tmp_path: Path, change: str) -> None:
    abstract = abstract_of(training_tree())
    aside = tmp_path / "aside"
    for path in files_of(copied):
        whole = path.read_bytes()
        path.rename(aside)
        if change == "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        elif change == "longer":
            path.write_bytes(whole + b"\n")
        elif change == "folder":
            path.mkdir()
        elif change == "link":
            path.symlink_to(aside)
        unchanged = path.name == manifest.MANIFEST and change == "link"
        unchanged |= not whole and change == "truncated"
        if path.name == manifest.MANIFEST and change != "missing":
            sentence = "is damaged"
        else:
            sentence = _SENTENCES[change]
        if not unchanged:
            with pytest.raises(ValueError, match=f"{path.name} {sentence}"):
                load_checkpoint(copied, 7, abstract)
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        aside.rename(path)
    load_checkpoint(copied, 7, abstract)


def test_an_extra_file_is_seen(copied: Path) -> None:
    (copied / "7" / "state" / "extra").touch()
    with pytest.raises(ValueError, match="state/extra does not belong to it"):
        load_checkpoint(copied, 7, abstract_of(training_tree()))


def test_arrays_that_orbax_restores_wrongly_are_seen(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = checkpoint._orbax_load

    def wrong(*args: Any) -> dict[str, np.ndarray]:
        arrays = load(*args)
        return arrays | {"odd": arrays["odd"][::-1]}

    monkeypatch.setattr(checkpoint, "_orbax_load", wrong)
    with pytest.raises(ValueError, match="the restored arrays differ from the saved ones"):
        load_checkpoint(saved, 7, abstract_of(training_tree()))


def test_another_digest_or_a_renamed_checkpoint_is_refused(copied: Path) -> None:
    abstract = abstract_of(training_tree())
    with pytest.raises(ValueError, match=f"has the digest .*, want {'0' * 64};"):
        load_checkpoint(copied, 7, abstract, digest="0" * 64)
    (copied / "7").rename(copied / "8")
    with pytest.raises(ValueError, match="it was saved as event 7"):
        load_checkpoint(copied, 8, abstract)
    with pytest.raises(ValueError, match=r"MANIFEST\.json is missing"):
        load_checkpoint(copied, 7, abstract)


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "FORMAT", 2)
        save(tmp_path, {"w": jnp.ones(2)})
    with pytest.raises(ValueError, match="format 2, this program reads up to 1; install"):
        load_checkpoint(tmp_path, 7, {"w": jnp.ones(2)})


@pytest.mark.parametrize(
    ("path", "leaf", "sentence"),
    [
        ("mask", jax.ShapeDtypeStruct((3,), jnp.bool), r"fit at mask: .*\[2\].*want.*\[3\]"),
        ("counts", jax.ShapeDtypeStruct((1, 2, 3), jnp.float32), "fit at counts: .*int32.*float32"),
        ("half", jax.ShapeDtypeStruct((3,), jnp.float16), "fit at half: .*bfloat16.*float16"),
        ("new", jax.ShapeDtypeStruct((1,), jnp.float32), "fit at new: got no such leaf"),
        ("step", None, "fit at step: .* want no such leaf"),
    ],
)
def test_another_shape_dtype_or_structure_is_refused(
    saved: Path, path: str, leaf: Any, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        load_checkpoint(saved, 7, {**abstract_of(training_tree()), path: leaf})


def test_a_manifest_of_other_json_is_damage(copied: Path) -> None:
    for content in ("[]", "null", '{"check": 1}', "[" * 100_000, json.dumps({"a": 1})):
        (copied / "7" / manifest.MANIFEST).write_text(content)
        with pytest.raises(ValueError, match=r"MANIFEST\.json is damaged"):
            checkpoint.read_manifest(copied / "7")
