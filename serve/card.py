"""The model card: what an exported model is, in a page that names no word of its owner's."""

import hashlib

from model.axes import count_parameters
from model.config import ModelConfig
from serve.records import size_name
from train.books import load_saved_book
from train.flat_tree import tree_digest
from train.life import Life, LifeState
from train.reading_plan import books_read
from train.records import encode_data, row_checksum

_LOADING = {
    "huggingface": """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained("THIS FOLDER")
tokenizer = AutoTokenizer.from_pretrained("THIS FOLDER")
```""",
    "gguf": """\
llama.cpp: `llama-cli -m model.gguf`. Ollama: a Modelfile with the one line `FROM ./model.gguf`,
then `ollama create NAME`.""",
}


def model_card(
    life: Life, state: LifeState, exported: ModelConfig, *, format_: str, dtype: str
) -> str:
    """README.md of an export: size, books, lessons, digests, and how to load it.

    Args:
      exported: the config in standard form, with the exported context.
    """
    model = state.config.model
    parameters = count_parameters(model)
    context = f"{exported.context} tokens"
    if exported.context < model.context:
        context += f" (the model itself sees {model.context})"
    rows = {
        "Parameters": f"{parameters:,}",
        "Layers, width": f"{model.n_layers}, {model.d_model}",
        "Query heads, key/value heads, head size": (
            f"{model.n_heads}, {model.n_kv_heads}, {model.head_dim}"
        ),
        "Context": context,
        "Vocabulary": f"{model.vocab_size} pieces (SentencePiece BPE with byte fallback)",
        "Weights in this export": dtype,
        "Reading steps": f"{state.steps:,}",
        "Lessons": f"{state.lessons:,}",
        "SHA-256 of the journal": journal_digest(life),
        "SHA-256 of parameters and moments": tree_digest(state.train),
    }
    lines = ["---", "pipeline_tag: text-generation", "tags: [apprentice]"]
    lines += ["library_name: transformers"] if format_ == "huggingface" else []
    lines += ["---", "", f"# A personal language model of {size_name(parameters)} parameters", ""]
    began = (
        "It came from a Llama made elsewhere" if "origin" in life.birth else "It began at random"
    )
    lines += [f"{began} and learned on an ordinary CPU, from books and from one person.", ""]
    lines += ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items()), ""]
    lines += ["## Books read", "", *(_books(life) or ["None."]), ""]
    lines += ["## Loading", "", _LOADING[format_], ""]
    lines += ["Prompts begin with the document mark `<|endoftext|>`; turns are ChatML.", ""]
    return "\n".join(lines)


def journal_digest(life: Life) -> str:
    """The SHA-256 over the checksums of all events: two journals with the same one are the same."""
    total = hashlib.sha256()
    for event in life.journal.events():
        data = encode_data(event.kind, event.data)
        total.update(row_checksum((event.id, event.time, event.kind, data)).encode())
    return total.hexdigest()


def _books(life: Life) -> list[str]:
    lines = []
    for sha256 in books_read(life):
        book = load_saved_book(life.library.folder, sha256)
        name = " ".join("".join(c if c.isprintable() else " " for c in book.name).split())
        lines.append(f"- {name}, {book.n_bytes:,} bytes, SHA-256 {sha256}")
    return lines
