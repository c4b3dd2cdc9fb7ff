"""What cannot be imported is named in one sentence, and nothing is written."""

import json

import numpy as np
import pytest
from fixtures_interop import command
from safetensors.numpy import load_file, save_file


def change_json(path, **fields):
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def change_tensors(source, change):
    tensors = load_file(source / "model.safetensors")
    change(tensors)
    save_file(tensors, source / "model.safetensors")


Q = "model.layers.1.self_attn.q_proj.weight"
CONFIGS = {
    "rope type": (
        {"rope_parameters": {"rope_type": "llama3", "factor": 8}},
        "rope_parameters.rope_type 'llama3'",
    ),
    "old rope key": (
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        "rope_scaling.rope_type 'linear'",
    ),
    "rope factor": (
        {"rope_parameters": {"rope_type": "default", "factor": 8}},
        "rope_parameters.factor 8",
    ),
    "two bases": ({"rope_theta": 5.0}, "has rope_theta [5.0, 10000.0]"),
    "bias": ({"attention_bias": True}, "attention_bias True"),
    "mlp bias": ({"mlp_bias": True}, "mlp_bias True"),
    "architecture": ({"model_type": "mistral"}, "model_type 'mistral'"),
    "windows": ({"sliding_window": 128}, "sliding_window 128"),
    "activation": ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
    "quantized": ({"quantization_config": {"bits": 4}}, "quantization_config"),
    "heads": ({"num_key_value_heads": 4}, "num_key_value_heads 4"),
    "no width": ({"hidden_size": None}, "hidden_size None"),
    "giant": ({"num_hidden_layers": 10**9}, "num_hidden_layers 1000000000"),
    "eps": ({"rms_norm_eps": "1e-5"}, "rms_norm_eps '1e-5'"),
    "shapes": ({"intermediate_size": 41}, "has the shape [24, 40], config.json wants [24, 41]"),
    "more layers": ({"num_hidden_layers": 3}, "layers.2.input_layernorm.weight is missing"),
    "fewer layers": ({"num_hidden_layers": 1}, "layers.1.input_layernorm.weight is not part"),
    "untied": ({"tie_word_embeddings": False}, "lm_head.weight is missing"),
    "vocabulary": ({"vocab_size": 1025}, "1024 pieces, config.json has vocab_size 1025"),
}
TENSORS = {
    "missing": (lambda t: t.pop(Q), f"{Q} is missing"),
    "nan": (lambda t: t[Q].__setitem__((0, 0), np.nan), f"{Q} holds 1 values that are NaN"),
    "biases": (
        lambda t: t.update({"model.layers.0.self_attn.q_proj.bias": np.zeros(36, np.float32)}),
        "model.layers.0.self_attn.q_proj.bias is not part",
    ),
    "integers": (lambda t: t.update({Q: t[Q].astype(np.int8)}), f"{Q} is int8"),
    "another head": (
        lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"] + 1}),
        "lm_head.weight differs from",
    ),
}


def refused(capfd, source, tmp_path):
    """The sentence that an import of the folder ends with; nothing is written."""
    before = sorted(path.name for path in tmp_path.iterdir())
    code, out, err = command(
        capfd, "--mode=import", f"--from={source}", f"--workdir={tmp_path}/new"
    )
    assert code == 1 and out == "" and len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    return err


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_that_cannot_be_is_named(capfd, source, tmp_path, name):
    fields, words = CONFIGS[name]
    change_json(source / "config.json", **fields)
    assert words in refused(capfd, source, tmp_path)


@pytest.mark.parametrize("name", TENSORS)
def test_wrong_tensors_are_named(capfd, source, tmp_path, name):
    change, words = TENSORS[name]
    change_tensors(source, change)
    assert words in refused(capfd, source, tmp_path)


def test_damaged_or_missing_files_are_named(capfd, source, tmp_path):
    for file, words in [
        ("model.safetensors", "the weights"),
        ("config.json", "is not readable JSON"),
        ("tokenizer.model", "tokenizer of"),
    ]:
        data = (source / file).read_bytes()
        (source / file).write_bytes(data[: len(data) // 2])
        assert words in refused(capfd, source, tmp_path)
        (source / file).unlink()
        assert file in refused(capfd, source, tmp_path)
        (source / file).write_bytes(data)
    (source / "config.json").write_text("[]")
    assert "want an object" in refused(capfd, source, tmp_path)


def repacked(data, change):
    """A safetensors file whose header was changed."""
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data[end:]


def overlap(header):
    header[Q]["data_offsets"] = [start - 4 for start in header[Q]["data_offsets"]]


DAMAGES = {
    "header beyond the file": (
        lambda data: (len(data) + 1).to_bytes(8, "little") + data[8:],
        "is larger than the file of",
    ),
    "overlap": (lambda data: repacked(data, overlap), "overlaps the one before it"),
    "shape in the header": (
        lambda data: repacked(data, lambda header: header[Q].update(shape=[7, 7])),
        "its shape wants 196",
    ),
    "one byte short": (lambda data: data[:-1], "tensors have"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_weights_are_told(capfd, source, tmp_path, name):
    change, words = DAMAGES[name]
    path = source / "model.safetensors"
    path.write_bytes(change(path.read_bytes()))
    assert words in refused(capfd, source, tmp_path)


def test_an_index_that_lies_is_refused(capfd, source, tmp_path):
    tensors = load_file(source / "model.safetensors")
    for places, words in [
        ({}, "model.embed_tokens.weight is missing"),
        (dict.fromkeys(tensors, "../model.safetensors"), "has no weight_map"),
        (dict.fromkeys([*tensors, "x"], "model.safetensors"), "x is missing from"),
        (dict.fromkeys(tensors.keys() - {Q}, "model.safetensors"), f"{Q} is in model.safetensors"),
        (dict.fromkeys(tensors, "none.safetensors"), "none.safetensors are missing"),
    ]:  # fmt: skip
        index = json.dumps({"weight_map": places})
        (source / "model.safetensors.index.json").write_text(index)
        assert words in refused(capfd, source, tmp_path)


def test_a_tokenizer_without_our_marks_is_refused(capfd, source, tmp_path, tokenizer_proto):
    other = tokenizer_proto.replace(b"<|im_end|>", b"<|im_ond|>")
    (source / "tokenizer.model").write_bytes(other)
    assert "has no control symbol <|im_end|>" in refused(capfd, source, tmp_path)
