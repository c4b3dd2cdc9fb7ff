"""Tiny lives for tests: a model of a few thousand parameters and a page of Alice."""

from pathlib import Path

import jax.numpy as jnp
from conftest import small_config

from serve.sample import SamplingConfig
from serve.session import Session
from train.books import Book, load_book
from train.life import create_life
from train.optimizer import OptimizerConfig
from train.reading_plan import ReadingConfig
from train.step import StepConfig

SAMPLING = SamplingConfig(replies=3, max_new_tokens=6, remember=False)
READING = ReadingConfig(batch_size=1, learning_rate=1e-2, warmup_steps=4, held_out_windows=4)


def write_book(folder: Path, text: str, name: str = "page.txt", start: int = 0) -> Book:
    """A book of a few dozen windows cut from a longer text."""
    path = folder / name
    path.write_text(text[start : start + 2500], encoding="utf-8")
    return load_book(path)


def tiny_config() -> StepConfig:
    """A model of a few thousand parameters."""
    model = small_config(vocab_size=400, context=64)
    return StepConfig(model, OptimizerConfig(), jnp.dtype("float32"))


def new_life(workdir: Path, text: str, *, seed: int = 0) -> None:
    """A life with a vocabulary of 400 pieces and a context of 64 tokens begins in `workdir`."""
    create_life(workdir, tiny_config(), seed=seed, texts=[text[:20_000]]).close()


def read_a_page(folder: Path, text: str) -> Path:
    """The folder of a new life that has read a page, which is beside it."""
    new_life(folder / "life", text)
    book = write_book(folder, text, start=2000)
    with open_session(folder / "life") as session:
        list(session.read([book], READING))
    return folder / "life"


def open_session(workdir: Path, **options) -> Session:
    """A session with three short replies."""
    return Session.open(workdir, sampling=SAMPLING, **options)
