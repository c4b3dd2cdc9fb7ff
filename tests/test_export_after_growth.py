"""A life that really grew is exported where other programs can say the same, else refused."""

import json

import jax
import numpy as np
import pytest
from fixtures_interop import command
from fixtures_readers import CONTEXT
from interop_models import export

from grow.surgery import grow
from grow.target import grown_config
from model.standard_form import standard_config, standard_params
from serve.export import export_model
from serve.importing import import_model
from train.flat_tree import tree_digest
from train.life import open_life
from train.replay import restore


def test_the_growth_changed_all_four_axes(models):
    (_, small), (_, large) = models["trained"], models["grown"]
    for axis in ("d_model", "d_ff", "n_layers", "n_kv_heads", "n_query_groups", "context"):
        assert getattr(large, axis) > getattr(small, axis)
    assert large.norm_dim == small.norm_dim < large.d_model
    assert large.windows[0] == (CONTEXT, CONTEXT, 2 * CONTEXT)


def test_newborn_entries_have_learned(models):
    params, _ = models["grown"]
    assert np.std(params["blocks"][0]["attn"]["out"][2]) > 0
    assert np.std(params["blocks"][3]["mlp"]["down"]) > 0


def test_a_longer_context_alone_exports_what_was_exported_before(lives, exports, tmp_path):
    with open_life(lives / "trained", read_only=True) as life:
        state = restore(life)[0]
        old = state.config.model
        new = grown_config(old, context=2 * old.context)
        params = grow(state.train.params, old, new, jax.random.key(0))
        state = state._replace(
            train=state.train._replace(params=params), config=state.config._replace(model=new)
        )
        export_model(life, state, tmp_path / "to", format_="huggingface")
    for file in ("model.safetensors", "config.json"):
        same = (exports / "trained-huggingface" / file).read_bytes()
        assert (tmp_path / "to" / file).read_bytes() == same
    assert "64 tokens (the model itself sees 128)" in (tmp_path / "to" / "README.md").read_text()


@pytest.mark.parametrize("format_", ["huggingface", "gguf"])
def test_windows_that_no_reader_has_are_refused(lives, tmp_path, capfd, format_):
    flags = ["--mode=export", f"--workdir={lives / 'grown'}", f"--to={tmp_path / 'to'}"]
    code, out, err = command(capfd, *flags, f"--format={format_}")
    assert code == 1 and out == "" and len(err.strip().splitlines()) == 1
    assert "windows from 64 to 128 tokens; export with --context=64" in err
    code, _, err = command(capfd, *flags, f"--format={format_}", "--context=65")
    assert code == 1 and "from 1 to 64 tokens" in err
    assert list(tmp_path.iterdir()) == []


def test_an_export_of_a_grown_life_comes_in_with_the_same_bits(models, exports, tmp_path):
    import_model(exports / "grown-huggingface", tmp_path / "life", dtype="float32").close()
    with open_life(tmp_path / "life", read_only=True) as life:
        found = restore(life)[0]
    params, config = models["grown"]
    standard = standard_config(config, CONTEXT)
    assert found.config.model == standard
    assert tree_digest(found.train.params) == tree_digest(standard_params(params, config, standard))
    export(tmp_path / "life", tmp_path / "again", format_="huggingface")
    file = "model.safetensors"
    first, again = exports / "grown-huggingface" / file, tmp_path / "again" / file
    assert first.read_bytes() == again.read_bytes()
    assert json.loads((tmp_path / "again" / "config.json").read_text())["hidden_size"] == 108
