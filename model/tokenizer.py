"""Text to token ids and back, without loss for any string."""

import codecs
import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

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
# Texts that a tokenizer with a blank in front, or with its own idea of Unicode, gives back changed.
_PROBES = ("a", "a  b", "\ufb01\u212b\u3000", "e\u0301", "\t\r\0")


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


def decode_utf8(data: bytes) -> str:
    """Returns the text of `data`; surrogates as they are, U+FFFD for what is no character."""
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


class Piece(NamedTuple):
    """One entry of a vocabulary; blanks in `text` are U+2581, bytes are <0x41>."""

    text: str
    score: float
    kind: Literal["normal", "unknown", "control", "unused", "byte"]


@dataclass(frozen=True)
class Tokenizer:
    """A trained tokenizer; `decode(encode(text)) == text` holds for every string.

    Attributes:
      proto: the SentencePiece model as it is stored.
      sha256: hexadecimal hash of `proto`.
      n_bytes_V: int32, UTF-8 bytes that each token stands for; 0 for the marks; read-only.
      marks: ids of the document mark, the start and the end of a turn, found by their names.
    """

    proto: bytes = field(repr=False)
    sha256: str
    n_bytes_V: np.ndarray = field(repr=False, compare=False)
    _bytes: tuple[bytes, ...] = field(repr=False, compare=False)
    marks: tuple[int, int, int] = field(compare=False)
    _processor: sentencepiece.SentencePieceProcessor = field(repr=False, compare=False)

    @classmethod
    def from_bytes(cls, proto: bytes) -> "Tokenizer":
        """Returns the tokenizer stored in `proto`.

        Raises:
          ValueError: the bytes are damaged, or are another program's tokenizer that lacks our
            marks or bytes, or that does not give every text back; says which.
        """
        try:
            processor = sentencepiece.SentencePieceProcessor(model_proto=proto or b"-")
            pieces = tuple(_piece_bytes(processor, i) for i in range(processor.vocab_size()))
        except (RuntimeError, ValueError) as error:
            raise ValueError(_unusable_sentence(proto, "cannot be read")) from error
        for mark in MARKS[DOCUMENT:]:
            if not processor.is_control(processor.piece_to_id(mark)):
                raise ValueError(_unusable_sentence(proto, f"has no control symbol {mark}"))
        n_bytes = sum(map(processor.is_byte, range(len(pieces))))
        if n_bytes != 256:
            raise ValueError(_unusable_sentence(proto, f"has {n_bytes} byte pieces of 256"))
        n_bytes_V = np.array([len(piece) for piece in pieces], np.int32)
        n_bytes_V.setflags(write=False)
        document, start, end = (processor.piece_to_id(mark) for mark in MARKS[DOCUMENT:])
        sha256 = hashlib.sha256(proto).hexdigest()
        self = cls(proto, sha256, n_bytes_V, pieces, (document, start, end), processor)
        blanks = processor.piece_to_id("\u2581") != processor.unk_id()
        for probe in _PROBES:
            if (blanks or " " not in probe) and self.decode(self.encode(probe)) != probe:
                raise ValueError(_unusable_sentence(proto, f"does not give {probe!r} back"))
        return self

    @property
    def vocab_size(self) -> int:
        return len(self._bytes)

    @property
    def document(self) -> int:
        return self.marks[0]

    @property
    def turn_start(self) -> int:
        return self.marks[1]

    @property
    def turn_end(self) -> int:
        return self.marks[2]

    @property
    def unspoken(self) -> tuple[int, ...]:
        """The ids that no reply holds: those without text, but for the end of a turn."""
        wordless = np.flatnonzero(self.n_bytes_V == 0)
        return tuple(int(id_) for id_ in wordless if id_ != self.turn_end)

    @property
    def unknown(self) -> int:
        return self._processor.unk_id()

    def pieces(self) -> list["Piece"]:
        """Returns every entry of the vocabulary as SentencePiece stores it, in the order of ids."""
        model = self._processor
        return [
            Piece(model.id_to_piece(i), model.get_score(i), _kind(model, i))
            for i in range(self.vocab_size)
        ]

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
        return decode_utf8(b"".join(self._bytes[id_] for id_ in ids))


def _unusable_sentence(proto: bytes, why: str) -> str:
    return (
        f"tokenizer of {len(proto)} bytes is damaged or not one of ours: it {why}; want a model "
        "made by train_tokenizer, restore tokenizer.model from a copy."
    )


def _kind(
    model: sentencepiece.SentencePieceProcessor, id_: int
) -> Literal["normal", "unknown", "control", "unused", "byte"]:
    if model.is_unknown(id_):
        return "unknown"
    if model.is_control(id_):
        return "control"
    if model.is_byte(id_):
        return "byte"
    return "unused" if model.is_unused(id_) else "normal"


def _piece_bytes(processor: sentencepiece.SentencePieceProcessor, id_: int) -> bytes:
    if processor.is_control(id_) or processor.is_unknown(id_):
        return b""
    piece = processor.id_to_piece(id_)
    if processor.is_byte(id_):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("\u2581", " ").encode()
