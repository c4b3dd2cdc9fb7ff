"""How far the answers of transformers and llama.cpp are from ours, for one model and one book.

    PYTHONPATH=tests python -m bench.interop --workdir=LIFE --book=FILE

One JSON line: differences of logits and probabilities, greedy texts and token ids that are the
same, perplexity of the whole book by each reader, and what weights of fewer bits cost in bits per
byte. A model whose windows differ is exported with the shortest. Needs .venv-peers
(`make .venv-peers/made`).
"""

import argparse
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from interop_models import ids_with_marks, random_texts
from peers import ask, our_greedy, our_logits, our_nats

from model.config import ModelConfig
from model.standard_form import shortest_window
from model.tokenizer import Tokenizer
from serve.export import export_model
from serve.flags import FORMATS
from train.life import open_life
from train.replay import restore

LIMIT = 24


class Subject(NamedTuple):
    """The model that is measured, with the context that is exported, in tokens."""

    params: dict
    config: ModelConfig
    tokenizer: Tokenizer
    context: int


class Questions(NamedTuple):
    """What is asked: windows as long as the context, prompts of 16, texts."""

    windows_BT: list[list[int]]
    prompts_BT: list[list[int]]
    texts: list[str]


def main() -> None:
    """Exports the model, asks both readers, and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--book", type=Path, required=True)
    parser.add_argument("--dtype_windows", type=int, default=40, help="for the cost of few bits")
    arguments = parser.parse_args()
    text = arguments.book.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subject = export_all(arguments.workdir.expanduser(), folder)
        questions = make_questions(subject, text)
        few_BT = questions.windows_BT[:: -(-len(questions.windows_BT) // arguments.dtype_windows)]
        answers = ask_transformers(subject, questions, folder)
        figures = {
            "book": arguments.book.name,
            "context": subject.context,
            "logits_difference": logits_difference(subject, questions, answers["logits"]),
        }
        cpp = ask_llama_cpp(subject, questions, few_BT, folder)
        figures["probability_difference"] = probability_difference(subject, questions, cpp["probs"])
        figures |= same_answers(subject, questions, {"transformers": answers, "llama_cpp": cpp})
        figures["bits_per_byte"] = bits_per_byte(subject, few_BT, cpp)
    sys.stdout.write(json.dumps(figures) + "\n")


def export_all(workdir: Path, folder: Path) -> Subject:
    """The folder has the exports `huggingface` and, for each dtype, `gguf-DTYPE`."""
    with open_life(workdir, read_only=True) as life:
        state = restore(life)[0]
        config = state.config.model
        context = shortest_window(config)
        export_model(life, state, folder / "huggingface", format_="huggingface", context=context)
        for dtype in FORMATS["gguf"]:
            to = folder / f"gguf-{dtype}"
            export_model(life, state, to, format_="gguf", dtype=dtype, context=context)
        return Subject(state.train.params, config, life.tokenizer, context)


def make_questions(subject: Subject, text: str) -> Questions:
    """Windows of a whole book, 100 prompts from them, and 1,000 random strings."""
    # llama.cpp's server keeps room for one token more than a prompt has.
    ids, length = subject.tokenizer.encode(text), subject.context - 1
    windows_BT = [ids[i : i + length + 1] for i in range(0, len(ids) - length, length)]
    prompts_BT = [[subject.tokenizer.document, *row[:15]] for row in windows_BT[:100]]
    return Questions(windows_BT, prompts_BT, random_texts(text, 1000))


def shared_tasks(subject: Subject, questions: Questions) -> dict:
    """What both readers are asked."""
    tokenizer = subject.tokenizer
    barred = [int(i) for i in np.flatnonzero(tokenizer.n_bytes_V == 0) if i != tokenizer.turn_end]
    ends = {"limit": LIMIT, "barred": barred, "end": tokenizer.turn_end}
    return {
        "greedy": {"task": "greedy", "ids_BT": questions.prompts_BT, **ends},
        "tokens": {"task": "tokenize", "texts": questions.texts},
        "nats": {"task": "nats", "ids_BT": questions.windows_BT},
    }


def ask_transformers(subject: Subject, questions: Questions, folder: Path) -> dict:
    tasks = shared_tasks(subject, questions)
    tasks["logits"] = {"task": "logits", "ids_BT": [row[:-1] for row in questions.windows_BT[:8]]}
    model = {"model": str(folder / "huggingface")}
    return ask("transformers", {name: {**task, **model} for name, task in tasks.items()}, folder)


def ask_llama_cpp(subject: Subject, questions: Questions, few_BT: list, folder: Path) -> dict:
    def model(dtype):
        file = str(folder / f"gguf-{dtype}" / "model.gguf")
        sizes = {"context": subject.context, "vocab_size": subject.config.vocab_size}
        return {"model": file, **sizes}

    tasks = shared_tasks(subject, questions)
    tasks["probs"] = {"task": "probs", "prompts": questions.prompts_BT[:50]}
    job = {name: {**task, **model("f32")} for name, task in tasks.items()}
    for dtype in FORMATS["gguf"]:
        job[dtype] = {"task": "nats", "ids_BT": few_BT, **model(dtype)}
    return ask("llama_cpp", job, folder)


def logits_difference(subject: Subject, questions: Questions, theirs: np.ndarray) -> float:
    """The largest difference of one logit over 8 windows."""
    ids_BT = np.array(questions.windows_BT[:8])[:, :-1]
    return float(np.max(np.abs(our_logits(subject.params, ids_BT, subject.config) - theirs)))


def probability_difference(subject: Subject, questions: Questions, theirs: np.ndarray) -> float:
    """The largest difference of one next-token probability over 50 prompts."""
    ids_BT = np.array(questions.prompts_BT[:50])
    ours_BV = jax.nn.softmax(our_logits(subject.params, ids_BT, subject.config)[:, -1])
    return float(np.max(np.abs(ours_BV - theirs)))


def same_answers(subject: Subject, questions: Questions, by_reader: dict) -> dict:
    """Perplexities, and how many greedy texts and token ids are ours."""
    params, config, tokenizer, _ = subject
    end = tokenizer.turn_end
    greedy = our_greedy(params, config, questions.prompts_BT, tokenizer, LIMIT)
    wanted = ids_with_marks(tokenizer, questions.texts)
    n_tokens = sum(len(row) - 1 for row in questions.windows_BT)
    nats = our_nats(params, config, questions.windows_BT)
    perplexity = {"ours": math.exp(nats / n_tokens)}
    figures: dict = {"tokens": n_tokens, "perplexity": perplexity, "prompts": len(greedy)}
    for reader, answer in by_reader.items():
        perplexity[reader] = math.exp(answer["nats"] / n_tokens)
        rows = [row[: row.index(end) + 1] if end in row else row for row in answer["greedy"]]
        ids = [token["ids"] for token in answer["tokens"]]
        figures[reader] = {
            "perplexity_ratio": math.exp((answer["nats"] - nats) / n_tokens),
            "greedy_the_same": sum(a == b for a, b in zip(rows, greedy, strict=True)),
            "token_ids_the_same": sum(a == b for a, b in zip(ids, wanted, strict=True)),
        }
    return figures


def bits_per_byte(subject: Subject, few_BT: list, answers: dict) -> dict:
    """Of some windows, ours and by llama.cpp for every dtype of an export."""
    n_bytes = sum(int(subject.tokenizer.n_bytes_V[row[1:]].sum()) for row in few_BT)
    nats = {"ours": our_nats(subject.params, subject.config, few_BT)}
    nats |= {dtype: answers[dtype] for dtype in FORMATS["gguf"]}
    return {name: total / math.log(2) / n_bytes for name, total in nats.items()}


if __name__ == "__main__":
    main()
