"""Exports and imports as this program sees them: the same weights to the bit, or one sentence."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import with_windows
from fixtures_interop import command, config_of
from interop_models import adopt, grown_config, random_params
from lives import READING, SAMPLING, write_book
from peers import our_logits
from safetensors.numpy import load_file, save_file

from model.llama_config import config_of_llama, llama_config
from model.llama_names import llama_shapes, llama_tensors, neighbour_rows, params_of_llama
from model.standard_form import standard_config, standard_params
from serve.export import export_model
from serve.flags import UsageError, parse
from serve.importing import import_model
from serve.session import Session
from train.flat_tree import tree_digest
from train.life import open_life
from train.replay import restore

# --- the standard form ------------------------------------------------------------------------


def test_a_grown_model_in_standard_form_gives_the_same_logits():
    config = grown_config()
    params = random_params(config)
    ids_BT = np.random.default_rng(0).integers(0, config.vocab_size, (3, 16))
    standard = standard_config(config, 16)
    assert (standard.d_model, standard.norm_dim, standard.attention_scale) == (42, 42, 8**-0.5)
    assert standard.logit_scale == 1 and standard.windows == ((16, 16), (16, 16))
    theirs = our_logits(standard_params(params, config, standard), ids_BT, standard)
    ours = our_logits(params, ids_BT, config)
    assert np.max(np.abs(ours - theirs)) < 2e-5 and np.std(ours) > 0.3


def test_what_is_standard_keeps_its_bits(config):
    params = random_params(config)
    assert tree_digest(standard_params(params, config, config)) == tree_digest(params)
    assert standard_config(config) == config


def test_windows_that_are_all_the_same_become_the_context(config):
    assert standard_config(with_windows(config, (8, 8), (8, 8))).context == 8
    assert standard_config(with_windows(config, (99, 16), (16, 99))).context == 16


@pytest.mark.parametrize(("rows", "context", "words"), [
    (((8, 16), (16, 16)), None, "windows from 8 to 16 tokens; export with --context=8"),
    (((8, 16), (16, 16)), 9, "from 1 to 8 tokens, .* got 9"),
    (((16, 16), (16, 16)), 17, "from 1 to 16 tokens, .* got 17"),
])  # fmt: skip
def test_windows_that_no_reader_knows_are_refused(config, rows, context, words):
    with pytest.raises(ValueError, match=words):
        standard_config(with_windows(config, *rows), context)


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_tree_and_names_are_each_other_back(tied):
    config = config_of(head_dim=6, tied_embedding=tied)
    params = random_params(config)
    tensors = llama_tensors(params, config)
    assert {name: tensor.shape for name, tensor in tensors.items()} == llama_shapes(config)
    assert tensors["model.layers.0.self_attn.q_proj.weight"].shape == (2 * 3 * 6, 24)
    assert all(tensor.flags.c_contiguous for tensor in tensors.values())
    assert tree_digest(params_of_llama(tensors, config)) == tree_digest(params)


def test_neighbour_rows_hold_the_pairs_of_the_rotation():
    rows = np.arange(12, dtype=np.float32)[:, None]
    assert neighbour_rows(rows, 2)[:, 0].tolist() == [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]


def test_config_and_json_are_each_other_back(tokenizer):
    config = config_of(head_dim=6)
    fields = json.loads(json.dumps(llama_config(config, tokenizer, "float32")))
    assert config_of_llama(fields) == config
    assert fields["rope_theta"] == fields["rope_parameters"]["rope_theta"]
    assert config_of_llama(fields, 8).context == 8


# --- there and back ---------------------------------------------------------------------------


def test_import_of_an_export_has_the_same_bits(born, tmp_path):
    import_model(born / "export", tmp_path / "again", dtype="float32").close()
    for read_only in (True, False):
        with (
            open_life(born / "life", read_only=read_only) as one,
            open_life(tmp_path / "again", read_only=read_only) as other,
        ):
            left, right = restore(one)[0], restore(other)[0]
            assert left.config == right.config
            assert tree_digest(left.train) == tree_digest(right.train)
            assert one.tokenizer.sha256 == other.tokenizer.sha256


def test_an_imported_model_reads_learns_and_comes_back(source, tmp_path, alice_text):
    import_model(source, tmp_path / "life", dtype="float32", seed=3).close()
    shutil.rmtree(source)
    with Session.open(tmp_path / "life", sampling=SAMPLING) as session:
        list(session.read([write_book(tmp_path, alice_text, start=2000)], READING))
        session.say("Who are you?").teach("I am Alice.")
        digest = tree_digest(session.state.train)
        steps = session.state.steps
    assert steps > 0
    # Without its checkpoints the life is made again from the imported weights and the journal.
    shutil.rmtree(tmp_path / "life" / "checkpoints")
    with open_life(tmp_path / "life", read_only=True) as life:
        assert tree_digest(restore(life)[0].train) == digest


@pytest.mark.parametrize("damage", ["changed", "gone"])
def test_damaged_birth_weights_are_named(source, tmp_path, damage):
    import_model(source, tmp_path / "life").close()
    path = tmp_path / "life" / "birth.safetensors"
    if damage == "gone":
        path.unlink()
    else:
        data = bytearray(path.read_bytes())
        data[-3] ^= 1
        path.write_bytes(data)
    with (
        open_life(tmp_path / "life") as life,
        pytest.raises(ValueError, match=r"birth\.safetensors"),
    ):
        restore(life)[0]


def test_files_with_an_index_and_half_precision_come_in(born, source, tmp_path):
    tensors = load_file(source / "model.safetensors")
    halves = {name: tensor.astype(jnp.bfloat16) for name, tensor in tensors.items()}
    (source / "model.safetensors").unlink()
    names = sorted(halves)
    places = {name: f"part-{index % 3}.safetensors" for index, name in enumerate(names)}
    for file in set(places.values()):
        part = {name: halves[name] for name in names if places[name] == file}
        # Old files bring the table of the rotation along.
        part |= (
            {"model.layers.0.self_attn.rotary_emb.inv_freq": halves[names[0]]}
            if "0" in file
            else {}
        )
        places |= dict.fromkeys(part, file)
        save_file(part, source / file)
    index = {"metadata": {}, "weight_map": places}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    with import_model(source, tmp_path / "life") as life:
        found = restore(life)[0].train.params
    with open_life(born / "life", read_only=True) as life:
        wanted = restore(life)[0].train.params
    for left, right in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert np.array_equal(left, np.asarray(right).astype(jnp.bfloat16).astype(np.float32))


# --- the command ------------------------------------------------------------------------------


def test_export_and_import_by_flags(born, tmp_path, capfd):
    life = f"--workdir={born / 'life'}"
    for format_, files in [
        ("huggingface", {"config.json", "generation_config.json", "model.safetensors",
                         "tokenizer.model", "tokenizer_config.json"}),
        ("gguf", {"model.gguf"}),
    ]:  # fmt: skip
        to = tmp_path / format_
        flags = ["--mode=export", life, f"--to={to}", f"--format={format_}", "--json"]
        code, out, err = command(capfd, *flags, "--dtype=bf16", "--context=20")
        assert code == 0, err
        (record,) = map(json.loads, out.splitlines())
        assert record["event"] == "export" and record["context"] == 20
        assert set(record["files"]) == files | {"README.md"} == {p.name for p in to.iterdir()}
        card = (to / "README.md").read_text()
        assert "| Context | 20 tokens (the model itself sees 32) |" in card and "| bf16 |" in card
        assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    code, out, _ = command(
        capfd,
        "--mode=import",
        f"--from={tmp_path}/huggingface",
        f"--workdir={tmp_path}/new",
        "--json",
    )
    assert code == 0 and json.loads(out)["event"] == "import"
    code, out, _ = command(capfd, "--mode=report", f"--workdir={tmp_path}/new", "--json")
    assert code == 0 and json.loads(out)["lessons"] == 0


def test_the_card_tells_what_was_read(source, tmp_path, alice_text, capfd):
    import_model(source, tmp_path / "life", dtype="float32").close()
    with Session.open(tmp_path / "life", sampling=SAMPLING) as session:
        book = write_book(tmp_path, alice_text, name="My | page\n2.txt", start=2000)
        list(session.read([book], READING))
    to = tmp_path / "out"
    assert command(capfd, "--mode=export", f"--workdir={tmp_path}/life", f"--to={to}")[0] == 0
    card = (to / "README.md").read_text()
    assert f"- My | page 2, {book.n_bytes:,} bytes, SHA-256 {book.sha256}" in card
    assert "| Lessons | 0 |" in card and "Alice" not in card
    assert "It came from a Llama made elsewhere and learned" in card


@pytest.mark.parametrize("flags", [
    ["--format=onnx"], ["--dtype=q8_0"], ["--format=gguf", "--dtype=bfloat16"],
    ["--mode=book", "--dtype=f16"], ["--size=10m"], ["--mode=import", "--d_model=64"],
    ["--mode=import", "--to=x"], ["--from=x"], ["--mode=book", "--format=gguf"],
])  # fmt: skip
def test_flags_that_make_no_sense_are_usage_errors(flags):
    with pytest.raises(UsageError):
        parse(["apprentice", "--mode=export", *flags])


def test_an_existing_target_is_never_overwritten(born, tmp_path, capfd):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine.txt").write_text("Dear Ada")
    life = f"--workdir={born / 'life'}"
    code, _, err = command(capfd, "--mode=export", life, f"--to={tmp_path}/to")
    assert code == 1 and "needs an empty folder" in err
    code, _, err = command(
        capfd, "--mode=import", f"--from={born}/export", f"--workdir={tmp_path}/to"
    )
    assert code == 1 and "needs an empty folder" in err
    code, _, err = command(capfd, "--mode=export", life, f"--to={tmp_path}/to/mine.txt")
    assert code == 1 and "mine.txt which is a file;" in err
    assert [path.name for path in tmp_path.rglob("*")] == ["to", "mine.txt"]
    for mode, word in [("export", "--to"), ("import", "--from")]:
        code, _, err = command(capfd, f"--mode={mode}", life)
        assert code == 1 and word in err


def test_a_weight_beyond_half_precision_is_named(tmp_path, tokenizer):
    config = config_of()
    params = random_params(config)
    params["embed"]["table"][3, 4] = 70_000
    adopt(tmp_path / "life", config, params, tokenizer)
    with open_life(tmp_path / "life", read_only=True) as life:
        state = restore(life)[0]
        with pytest.raises(ValueError, match=r"embed_tokens\.weight has a weight of size 70000"):
            export_model(life, state, tmp_path / "to", format_="gguf", dtype="f16")
        export_model(life, state, tmp_path / "to", format_="gguf", dtype="f32")
