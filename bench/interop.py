"""How far the answers of transformers and llama.cpp are from ours, for one model and one book.

    PYTHONPATH=tests python -m bench.interop --workdir=LIFE --book=FILE

One JSON line: differences of logits and probabilities, greedy texts and token ids that are the
same, perplexity by each reader. Needs .venv-peers (`make .venv-peers/made`).
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from interop_models import ids_with_marks, random_texts
from peers import ask, our_greedy, our_logits, our_nats

from serve.export import export_model
from train.life import open_life
from train.replay import restore

LIMIT = 24


def main() -> None:
    """Exports the model, asks both readers, and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--book", type=Path, required=True)
    arguments = parser.parse_args()
    text = arguments.book.read_text(encoding="utf-8")
    with (
        tempfile.TemporaryDirectory() as name,
        open_life(arguments.workdir, read_only=True) as life,
    ):
        figures = measure(life, restore(life)[0], text, Path(name))
    sys.stdout.write(json.dumps(figures) + "\n")


def measure(life, state, text, folder):
    """The figures of one model on one text."""
    params, config, tokenizer = state.train.params, state.config.model, life.tokenizer
    for format_ in ("huggingface", "gguf"):
        export_model(life, state, folder / format_, format_=format_)
    length = config.context
    ids = tokenizer.encode(text)
    windows_BT = [ids[i : i + length + 1] for i in range(0, len(ids) - length, length)]
    prompts_BT = [[tokenizer.document, *row[:15]] for row in windows_BT[:100]]
    texts = random_texts(text, 1000)
    barred = [int(i) for i in np.flatnonzero(tokenizer.n_bytes_V == 0) if i != tokenizer.turn_end]
    tasks = {
        "greedy": {
            "task": "greedy",
            "ids_BT": prompts_BT,
            "limit": LIMIT,
            "barred": barred,
            "end": tokenizer.turn_end,
        },
        "tokens": {"task": "tokenize", "texts": texts},
        "nats": {"task": "nats", "ids_BT": windows_BT},
    }
    rows_BT = np.array(windows_BT[:8])[:, :-1]
    hub = {"logits": {"task": "logits", "ids_BT": rows_BT.tolist()}, **tasks}
    gguf = {"probs": {"task": "probs", "prompts": prompts_BT[:50]}, **tasks}
    model = {"model": str(folder / "gguf" / "model.gguf")}
    # The server wants room for one token more than a prompt has.
    model |= {"context": length + 8, "vocab_size": config.vocab_size}
    answers = {
        "transformers": ask(
            "transformers",
            {name: {**task, "model": str(folder / "huggingface")} for name, task in hub.items()},
            folder,
        ),
        "llama_cpp": ask(
            "llama_cpp", {name: {**task, **model} for name, task in gguf.items()}, folder
        ),
    }
    logits_BTV = our_logits(params, rows_BT, config)
    probs_BV = jax.nn.softmax(our_logits(params, np.array(prompts_BT[:50]), config)[:, -1])
    greedy = our_greedy(params, prompts_BT, config, tokenizer, LIMIT)
    wanted = [ids_with_marks(tokenizer, part) for part in texts]
    n_tokens = len(windows_BT) * length
    nats = our_nats(params, windows_BT, config)
    figures = {
        "logits_difference": float(np.max(np.abs(logits_BTV - answers["transformers"]["logits"]))),
        "probability_difference": float(np.max(np.abs(probs_BV - answers["llama_cpp"]["probs"]))),
        "perplexity": {"ours": float(np.exp(nats / n_tokens))},
        "tokens": n_tokens,
    }
    for reader, answer in answers.items():
        figures["perplexity"][reader] = float(np.exp(answer["nats"] / n_tokens))
        rows = [_ended(row, tokenizer.turn_end) for row in answer["greedy"]]
        same = sum(left == right for left, right in zip(rows, greedy, strict=True))
        ids = [token["ids"] for token in answer["tokens"]]
        figures[reader] = {
            "greedy_the_same": same,
            "token_ids_the_same": sum(a == b for a, b in zip(ids, wanted, strict=True)),
        }
    return figures


def _ended(row, end):
    return row[: row.index(end) + 1] if end in row else row


if __name__ == "__main__":
    main()
