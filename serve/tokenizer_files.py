"""The tokenizer for other programs: SentencePiece's file, and what it does not say."""

import json
from pathlib import Path
from typing import Any

from model.tokenizer import Tokenizer

# ChatML after the document mark: the ids of `model.chat.encode_prompt`.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def write_tokenizer(folder: Path, tokenizer: Tokenizer, context: int) -> None:
    """The folder has `tokenizer.model` and `tokenizer_config.json` with the chat template."""
    (folder / "tokenizer.model").write_bytes(tokenizer.proto)
    fields = tokenizer_config(tokenizer, context)
    (folder / "tokenizer_config.json").write_text(json.dumps(fields, indent=2) + "\n")


def tokenizer_config(tokenizer: Tokenizer, context: int) -> dict[str, Any]:
    """What transformers' LlamaTokenizer has to know beside the SentencePiece model.

    The document mark begins every text; the end of a turn is what an answer stops at.
    """
    pieces = tokenizer.pieces()
    special = {
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": True,
    }
    return {
        "tokenizer_class": "LlamaTokenizer",
        "legacy": False,
        "add_prefix_space": False,
        "add_bos_token": True,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        "unk_token": pieces[tokenizer.unknown].text,
        "bos_token": pieces[tokenizer.document].text,
        "eos_token": pieces[tokenizer.turn_end].text,
        "pad_token": None,
        "additional_special_tokens": [pieces[tokenizer.turn_start].text],
        "added_tokens_decoder": {
            str(id_): {"content": piece.text, **special}
            for id_, piece in enumerate(pieces)
            if piece.kind in ("control", "unknown")
        },
        "chat_template": CHAT_TEMPLATE,
    }
