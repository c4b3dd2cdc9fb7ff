"""A model folder, its export, and the program run on them."""

import shutil

import pytest
from conftest import small_config
from interop_models import adopt, random_params

from serve.export import export_model
from serve.flags import parse
from serve.modes import run_mode
from train.life import open_life
from train.replay import restore


def config_of(**overrides):
    return small_config(vocab_size=1024, context=32, **overrides)


@pytest.fixture(scope="module")
def born(tmp_path_factory, tokenizer):
    """A life of random weights with grouped heads, and its export."""
    folder = tmp_path_factory.mktemp("born")
    config = config_of(head_dim=6)
    adopt(folder / "life", config, random_params(config), tokenizer)
    with open_life(folder / "life", read_only=True) as life:
        export_model(life, restore(life)[0], folder / "export", format_="huggingface")
    return folder


@pytest.fixture
def source(born, tmp_path):
    return shutil.copytree(born / "export", tmp_path / "source")


def command(capfd, *flags):
    code = run_mode(parse(["apprentice", *map(str, flags)]))
    out, err = capfd.readouterr()
    return code, out, err
