"""The model folder of one life: made once, opened many times, never overwritten."""

import dataclasses
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp

from model.config import ModelConfig
from model.tokenizer import Tokenizer, train_tokenizer
from train.context_file import settle_context
from train.disk_store import Disk
from train.durable import fsync_folder, write_file
from train.journal import Journal
from train.library import Library
from train.lock import WriterLock
from train.optimizer import OptimizerConfig
from train.recipe import Recipe
from train.schedule import Memory
from train.state import TrainState
from train.step import StepConfig
from train.store import AUTO, StoreConfig
from train.versions import versions

# The weights of a life that began with an import.
BIRTH_WEIGHTS = "birth.safetensors"
# Named streams of the life's root key; a stream is folded with a count, never split in a loop.
INIT_STREAM, REPLIES_STREAM, REHEARSAL_STREAM, SLEEP_STREAM = range(4)
READING_STREAM, OWN_REPLIES_STREAM, REST_STREAM, GROWTH_STREAM = 4, 5, 6, 16


class LifeState(NamedTuple):
    """What the journal's events add up to.

    `event` is the last event it includes, `steps` how many reading steps and `lessons` how many
    lessons were made, `memory` what lessons rehearse, `owed` the last lesson's recipe as long as
    its rehearsals are still to be made.
    """

    train: TrainState
    config: StepConfig
    event: int
    steps: int
    lessons: int
    memory: Memory = Memory()
    owed: Recipe | None = None


@dataclasses.dataclass(frozen=True)
class Life:
    """An open model folder. A context manager: leaving it releases the folder.

    `birth` is the data of the journal's first event.
    """

    workdir: Path
    journal: Journal
    tokenizer: Tokenizer
    library: Library
    birth: dict[str, Any]
    lock: WriterLock | None
    store: StoreConfig
    disk: Disk

    def aside(self) -> "Life":
        """The same life for states that are made beside its present one and never saved."""
        disk = Disk(self.checkpoints, self.disk.dtype, None, writes=False)
        return dataclasses.replace(self, disk=disk)

    @property
    def checkpoints(self) -> Path:
        return self.workdir / "checkpoints"

    @property
    def context_file(self) -> Path:
        return self.workdir / "context.txt"

    @property
    def seed(self) -> int:
        return self.birth["seed"]

    @property
    def birth_config(self) -> StepConfig:
        """The config at birth; a growth changes the model's part of it."""
        return StepConfig(
            ModelConfig.from_json(self.birth["model"]),
            OptimizerConfig(**self.birth["optimizer"]),
            jnp.dtype(self.birth["dtype"]),
            remat=self.store.remat,
        )

    def stream(self, stream: int, count: int) -> jax.Array:
        """The key of the `count`-th draw of a named stream."""
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(self.seed), stream), count)

    def close(self) -> None:
        """The journal is closed and the folder free for another writer."""
        try:
            self.disk.close()
            self.journal.close()
        finally:
            if self.lock is not None:
                self.lock.__exit__()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_model_folder(workdir: Path) -> bool:
    """Whether a life has begun in this folder."""
    return (workdir / "journal.sqlite").exists()


def create_life(workdir: Path, config: StepConfig, *, seed: int, texts: Iterable[str]) -> Life:
    """A new life in an empty folder: tokenizer and the event of its birth, both durable.

    Args:
      workdir: missing or empty.
      config: what is born.
      seed: of the root key, 0 to 2**63 - 1.
      texts: what the tokenizer is made from.

    Raises:
      ValueError: the folder holds something, the seed or the vocabulary does not fit.
    """
    require_place(workdir, seed)
    proto = train_tokenizer(texts, config.model.vocab_size)
    return bear_life(workdir, proto, lambda _: birth_data(config, seed, proto))


def require_place(workdir: Path, seed: int) -> None:
    """Nothing; refuses a folder that holds something, and a seed out of bounds."""
    if workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
        raise ValueError(
            f"a new model needs an empty folder, got {workdir} with other files in it; "
            "name another --workdir."
        )
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be from 0 to 2**63 - 1, got {seed}; choose another.")


def bear_life(workdir: Path, proto: bytes, birth: Callable[[Path], dict[str, Any]]) -> Life:
    """A new life in an empty folder whose tokenizer is `proto`; whole or absent.

    Args:
      birth: gives the data of the first event; may put files of its own into the folder it gets.
    """
    # Made aside and renamed, so that a birth that was cut short leaves no half of a model.
    workdir.parent.mkdir(parents=True, exist_ok=True)
    unborn = workdir.with_name(f".{workdir.name}.unborn")
    shutil.rmtree(unborn, ignore_errors=True)
    unborn.mkdir(mode=0o700)
    write_file(unborn / "tokenizer.model", proto)
    data = birth(unborn)
    with Journal.create(unborn / "journal.sqlite") as journal:
        journal.append("birth", data)
    unborn.rename(workdir)
    fsync_folder(workdir.parent)
    return open_life(workdir)


def birth_data(config: StepConfig, seed: int, proto: bytes) -> dict[str, Any]:
    """What the event of a birth says of every model."""
    return {
        "model": config.model.to_json(),
        "optimizer": dataclasses.asdict(config.optimizer),
        "dtype": jnp.dtype(config.dtype).name,
        "seed": seed,
        "tokenizer": Tokenizer.from_bytes(proto).sha256,
        "versions": versions(),
    }


def open_life(workdir: Path, *, read_only: bool = False, store: StoreConfig = AUTO) -> Life:
    """The life in a model folder, held for writing unless `read_only`.

    Raises:
      ValueError: not a model folder, open elsewhere, or a damaged journal or tokenizer.
    """
    if not is_model_folder(workdir):
        raise ValueError(
            f"{workdir} is not a model folder (it has no journal.sqlite); name the folder of a "
            "model with --workdir, or read a book to begin a new one."
        )
    lock = None if read_only else WriterLock(workdir).__enter__()
    try:
        journal = Journal.open(workdir / "journal.sqlite", read_only=read_only)
        try:
            birth = _read_birth(journal, workdir)
            tokenizer = _read_tokenizer(workdir / "tokenizer.model", birth["tokenizer"])
            library = Library(workdir / "books", tokenizer)
            disk = Disk(
                workdir / "checkpoints",
                jnp.dtype(birth["dtype"]),
                store.budget(),
                writes=lock is not None,
            )
            life = Life(workdir, journal, tokenizer, library, birth, lock, store, disk)
            if lock is not None:
                settle_context(life.context_file, journal)
        except BaseException:
            journal.close()
            raise
    except BaseException:
        if lock is not None:
            lock.__exit__()
        raise
    return life


def _read_birth(journal: Journal, workdir: Path) -> dict[str, Any]:
    first = next(iter(journal.events(until=1)), None)
    if first is None or first.kind != "birth":
        raise ValueError(
            f"the journal of {workdir} does not begin with a birth; restore journal.sqlite from "
            "a copy."
        )
    return first.data


def _read_tokenizer(path: Path, sha256: str) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_bytes(path.read_bytes())
    except OSError as error:
        raise ValueError(
            f"the tokenizer {path} could not be read: {error.strerror}; restore it from a copy."
        ) from error
    if tokenizer.sha256 != sha256:
        raise ValueError(
            f"the tokenizer {path} is not the one this model was born with: its SHA-256 is "
            f"{tokenizer.sha256}, want {sha256}; restore it from a copy."
        )
    return tokenizer
