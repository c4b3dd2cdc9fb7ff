"""The programs that exports are held to, run by their own Python, and what they are asked."""

import functools
import json
import os
import subprocess
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.transformer import forward
from serve.sample import SamplingConfig, sample_replies

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".venv-peers" / "bin" / "python"
MISSING = (
    "no .venv-peers, hence no check against transformers and llama.cpp: `make .venv-peers/made` "
    "makes it where python3.11 and the packages of constraints-peers.txt can be had"
)
needs_readers = pytest.mark.skipif(not PYTHON.exists(), reason=MISSING)


def ask(reader, job, folder):
    """The answers of a real reader to a job, by name; see tests/readers/."""
    job_file, answers = folder / f"{reader}-job.json", folder / f"{reader}-answers.npz"
    job_file.write_text(json.dumps(job))
    script = ROOT / "tests" / "readers" / f"with_{reader}.py"
    done = subprocess.run(
        [str(PYTHON), str(script), str(job_file), str(answers)],
        capture_output=True,
        text=True,
        env={"HOME": str(folder), "PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(answers) as arrays:
        return {**json.loads(answers.with_suffix(".json").read_text()), **arrays}


@functools.partial(jax.jit, static_argnames="config")
def _logits(params, tokens_BT, config):
    return forward(params, tokens_BT, tokens_BT * 0, config)


def our_logits(params, ids_BT, config):
    """Logits in float32 of whole windows, 32 rows at a time."""
    ids_BT = np.asarray(ids_BT, np.int32)
    rows = len(ids_BT)
    padded_BT = np.pad(ids_BT, ((0, -rows % 32), (0, 0)))
    parts = [_logits(params, padded_BT[i : i + 32], config) for i in range(0, len(padded_BT), 32)]
    return np.concatenate([np.asarray(part) for part in parts])[:rows]


def our_nats(params, config, ids_BT):
    """The total negative log-likelihood of every next token within each window."""
    ids_BT, total = np.asarray(ids_BT), 0.0
    for rows_BT in np.split(ids_BT, range(32, len(ids_BT), 32)):
        log_probs_BTV = jax.nn.log_softmax(our_logits(params, rows_BT[:, :-1], config))
        picked_BT1 = np.take_along_axis(np.asarray(log_probs_BTV), rows_BT[:, 1:, None], 2)
        total -= float(np.sum(picked_BT1, dtype=np.float64))
    return total


def our_greedy(params, config, ids_BT, tokenizer, limit):
    """The new ids after each prompt by the program's own cached decode, end mark included."""
    sampling = SamplingConfig(replies=1, max_new_tokens=limit, temperature=0)
    rows = []
    for ids in ids_BT:
        *_, (reply,) = sample_replies(
            params, ids, jax.random.key(0), tokenizer, config, sampling, jnp.dtype("float32")
        )
        rows.append([*reply.ids, *([tokenizer.turn_end] if reply.ended else [])])
    return rows
