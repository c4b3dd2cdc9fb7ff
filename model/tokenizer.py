"""Text to token ids and back, without loss for any string."""

import codecs
import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import sentencepiece

UNKNOWN, DOCUMENT, TURN_START, TURN_END = range(4)
MARKS = ("<unk>", "<|endoftext|>", "<|im_start|>", "<|im_end|>")

# SentencePiece skips a whole sentence that holds one of these, or cannot take it at all; the
# trainer works in 16-bit positions within a word, so sentences stay far below that.
_SENTENCE = re.compile(
    r"[^\t\n\r\0\u2581\u2585\ud800-\udfff]{1,4000}(?=[\s\0\u2581\u2585\ud800-\udfff]|\Z)"
    r"|[^\t\n\r\0\u2581\u2585\ud800-\udfff]{1,4000}"
)
# U+2581 is SentencePiece's own sign for a blank; lone surrogates are not UTF-8.
_AROUND = re.compile(r"([\u2581\ud800-\udfff]+)")
_MAX_SENTENCE_BYTES = 16_384
_ONLY_ERRORS = 2  # SentencePiece's minloglevel


def _surrogate_or_replacement(error: UnicodeError) -> tuple[str, int]:
    """Decodes a surrogate at the place of the error, or else gives U+FFFD."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    three = error.object[error.start : error.start + 3]
    try:
        return three.decode("utf-8", "surrogatepass"), error.start + len(three)
    except UnicodeDecodeError:
        return "\ufffd", error.end


codecs.register_error("surrogate_or_replacement", _surrogate_or_replacement)


def _decode_utf8(data: bytes) -> str:
    return data.decode("utf-8", "surrogate_or_replacement")


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> bytes:
    """Returns a SentencePiece BPE model that covers any text through its 256 byte pieces.

    The same texts and size give the same bytes in every process. No line is left out for its
    length; the marks of documents and turns have ids of their own that no text can yield.

    Args:
      texts: any strings; read once, only within-line statistics count.
      vocab_size: pieces, the 4 marks and 256 bytes included.

    Raises:
      ValueError: the texts are empty, or too small or too varied for `vocab_size`.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=_sentences(texts),
            model_writer=model,
            model_type="bpe",
            vocab_size=vocab_size,
            byte_fallback=True,
            normalization_rule_name="identity",
            add_dummy_prefix=False,
            remove_extra_whitespaces=False,
            split_digits=True,
            max_sentence_length=_MAX_SENTENCE_BYTES,
            num_threads=1,
            unk_id=UNKNOWN,
            eos_id=DOCUMENT,
            bos_id=-1,
            pad_id=-1,
            unk_piece=MARKS[UNKNOWN],
            eos_piece=MARKS[DOCUMENT],
            control_symbols=[MARKS[TURN_START], MARKS[TURN_END]],
            minloglevel=_ONLY_ERRORS,
        )
    except (RuntimeError, OSError) as error:
        raise ValueError(_training_sentence(str(error), vocab_size)) from error
    return model.getvalue()


def _sentences(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for found in _SENTENCE.finditer(text):
            yield found.group()


def _training_sentence(message: str, vocab_size: int) -> str:
    """Returns SentencePiece's complaint as one sentence for the owner."""
    if found := re.search(r"value <= (\d+)", message):
        return (
            f"vocab_size {vocab_size} is larger than this text allows; "
            f"choose {found[1]} or less, or give more text."
        )
    if found := re.search(r"required_chars\. \d+ vs (\d+)", message):
        return (
            f"vocab_size {vocab_size} is too small for the characters of this text; "
            f"choose more than {found[1]}."
        )
    if "sentences_.empty()" in message:
        return "the text for the tokenizer is empty; give a text with words in it."
    return (
        f"vocab_size {vocab_size} cannot be reached from this text: {message}; choose another size."
    )


@dataclass(frozen=True)
class Tokenizer:
    """A trained tokenizer; `decode(encode(text)) == text` holds for every string.

    Attributes:
      proto: the SentencePiece model as it is stored.
      sha256: hexadecimal hash of `proto`.
      n_bytes_V: int32, UTF-8 bytes that each token stands for; 0 for the marks; read-only.
    """

    proto: bytes = field(repr=False)
    sha256: str
    n_bytes_V: np.ndarray = field(repr=False, compare=False)
    _bytes: tuple[bytes, ...] = field(repr=False, compare=False)
    _processor: sentencepiece.SentencePieceProcessor = field(repr=False, compare=False)

    document = DOCUMENT
    turn_start = TURN_START
    turn_end = TURN_END

    @classmethod
    def from_bytes(cls, proto: bytes) -> "Tokenizer":
        """Returns the tokenizer stored in `proto`.

        Raises:
          ValueError: the bytes are damaged or are another program's tokenizer.
        """
        damaged = (
            f"tokenizer of {len(proto)} bytes is damaged or not one of ours, "
            "want a model made by train_tokenizer; restore tokenizer.model from a copy."
        )
        if not proto:
            raise ValueError(damaged)
        try:
            processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
            pieces = tuple(_piece_bytes(processor, i) for i in range(processor.vocab_size()))
        except (RuntimeError, ValueError) as error:
            raise ValueError(damaged) from error
        marks = tuple(processor.id_to_piece(i) for i in range(min(len(MARKS), len(pieces))))
        if marks != MARKS or sum(map(processor.is_byte, range(len(pieces)))) != 256:
            raise ValueError(damaged)
        n_bytes_V = np.array([len(piece) for piece in pieces], np.int32)
        n_bytes_V.setflags(write=False)
        return cls(proto, hashlib.sha256(proto).hexdigest(), n_bytes_V, pieces, processor)

    @property
    def vocab_size(self) -> int:
        return len(self._bytes)

    def encode(self, text: str) -> list[int]:
        """Returns the ids of `text`; a mark written out in it is plain text."""
        if not _AROUND.search(text):
            return self._processor.encode(text)
        ids: list[int] = []
        for index, part in enumerate(_AROUND.split(text)):
            if index % 2:
                ids += map(self._byte_id, part.encode("utf-8", "surrogatepass"))
            else:
                ids += self._processor.encode(part)
        return ids

    def _byte_id(self, byte: int) -> int:
        return self._processor.piece_to_id(f"<0x{byte:02X}>")

    def token_bytes(self, id_: int) -> bytes:
        """Returns the UTF-8 bytes that the token stands for, which may end inside a character."""
        return self._bytes[id_]

    def decode(self, ids: Iterable[int]) -> str:
        """Returns the text of `ids`; marks give nothing, bytes that are not UTF-8 give U+FFFD."""
        return _decode_utf8(b"".join(self._bytes[id_] for id_ in ids))


def _piece_bytes(processor: sentencepiece.SentencePieceProcessor, id_: int) -> bytes:
    if processor.is_control(id_) or processor.is_unknown(id_):
        return b""
    piece = processor.id_to_piece(id_)
    if processor.is_byte(id_):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("\u2581", " ").encode()


class StreamDecoder:
    """Turns tokens into text as they come; the parts joined are `Tokenizer.decode` of all ids."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._pending = b""

    def push(self, id_: int) -> str:
        """Returns the text that became complete; the start of a character is held back."""
        data = self._pending + self._tokenizer.token_bytes(id_)
        complete = _complete_length(data)
        self._pending = data[complete:]
        return _decode_utf8(data[:complete])

    def flush(self) -> str:
        """Returns what is still held back, U+FFFD for an unfinished character."""
        data, self._pending = self._pending, b""
        return _decode_utf8(data)


def _complete_length(data: bytes) -> int:
    """Returns the length of `data` without a character that is begun but not finished."""
    for back in range(1, min(3, len(data)) + 1):
        lead = data[-back]
        if lead >= 0xC0:
            needed = 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            return len(data) - back if back < needed else len(data)
        if lead < 0x80:
            break
    return len(data)
