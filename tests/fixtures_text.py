"""Real texts and one small tokenizer, trained once for the whole run."""

from pathlib import Path

import pytest

from model.tokenizer import Tokenizer, train_tokenizer


@pytest.fixture(scope="session")
def shelf() -> Path:
    return Path(__file__).parents[1] / "serve" / "shelf"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    return Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def alice_text(shelf: Path) -> str:
    return (shelf / "alice-in-wonderland.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def tokenizer_proto(alice_text: str) -> bytes:
    return train_tokenizer([alice_text], 1024)


@pytest.fixture(scope="session")
def tokenizer(tokenizer_proto: bytes) -> Tokenizer:
    return Tokenizer.from_bytes(tokenizer_proto)
