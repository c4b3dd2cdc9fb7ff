"""The tokenizer loses nothing, is the same in every process, and keeps its marks apart."""

import hashlib
import io
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from model.stream import StreamDecoder
from model.tokenizer import MARKS, Tokenizer, train_tokenizer

QUICK = settings(max_examples=150, deadline=None, derandomize=True)
SPECIAL = st.sampled_from(
    [
        *MARKS,
        *["\u2581", "\0", "\ud800", "\udc00", "\udfff", "\n\n", "\r\n", "\t", "  ", "\ufeff"],
        *["é", "e\u0301", "\U0001f469\u200d\U0001f680", "the ", "<0x41>", "\u2585", "7294"],
    ]
)
ANY_TEXT = st.lists(
    SPECIAL | st.text(st.characters(exclude_categories=()), max_size=8), max_size=12
).map("".join)


@QUICK
@given(text=ANY_TEXT)
def test_any_string_comes_back(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not {0, 1, 2, 3} & set(ids)
    data = text.encode("utf-8", "surrogatepass")
    assert b"".join(map(tokenizer.token_bytes, ids)) == data
    assert tokenizer.n_bytes_V[ids].sum() == len(data)


@QUICK
@given(ids=st.lists(st.integers(0, 1023) | st.integers(100, 259), max_size=30))
def test_streaming_any_ids_gives_what_decode_gives(tokenizer: Tokenizer, ids: list[int]) -> None:
    stream = StreamDecoder(tokenizer)
    assert "".join(map(stream.push, ids)) + stream.flush() == tokenizer.decode(ids)


def test_every_character_comes_back(tokenizer: Tokenizer) -> None:
    for first in range(0, 0x110000, 0x8000):
        text = "".join(map(chr, range(first, first + 0x8000)))
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_character_is_streamed_only_when_it_is_whole(tokenizer: Tokenizer) -> None:
    stream = StreamDecoder(tokenizer)
    parts = [stream.push(id_) for id_ in tokenizer.encode("\U0001f680")]
    assert parts == ["", "", "", "\U0001f680"]
    assert stream.flush() == ""


def test_an_unfinished_character_is_replaced_at_the_end(tokenizer: Tokenizer) -> None:
    stream = StreamDecoder(tokenizer)
    assert stream.push(tokenizer.encode("\U0001f680")[0]) == ""
    assert stream.flush() == "\ufffd"
    assert stream.flush() == ""


def test_one_wrong_byte_spoils_no_neighbour(tokenizer: Tokenizer) -> None:
    wrong = tokenizer.encode("\u2581")[:1]
    ids = tokenizer.encode("a\ud800") + wrong + tokenizer.encode("é")
    assert tokenizer.decode(ids) == "a\ud800\ufffdé"


def test_marks_decode_to_nothing(tokenizer: Tokenizer) -> None:
    assert (tokenizer.document, tokenizer.turn_start, tokenizer.turn_end) == (1, 2, 3)
    assert tokenizer.decode([0, 1, 2, *tokenizer.encode("hi"), 3]) == "hi"
    assert [tokenizer.token_bytes(id_) for id_ in range(4)] == [b""] * 4
    assert tokenizer.n_bytes_V.dtype == np.int32
    assert tokenizer.n_bytes_V.shape == (tokenizer.vocab_size,) == (1024,)


def test_words_are_shorter_than_their_bytes(tokenizer: Tokenizer, alice_text: str) -> None:
    assert len(tokenizer.encode(alice_text)) < len(alice_text.encode()) / 2.3


def test_a_megabyte_on_one_line_is_quick(tokenizer: Tokenizer, alice_text: str) -> None:
    line = (alice_text.replace("\n", " ") * 7)[:1_000_000]
    start = time.perf_counter()
    ids = tokenizer.encode(line)
    seconds = time.perf_counter() - start
    assert tokenizer.decode(ids) == line
    assert seconds < 5.0


def test_training_gives_the_same_bytes_in_another_process(
    tokenizer_proto: bytes, shelf: Path
) -> None:
    program = (
        "import hashlib, pathlib, sys\n"
        "from model.tokenizer import train_tokenizer\n"
        "text = pathlib.Path(sys.argv[1]).read_text(encoding='utf-8')\n"
        "print(hashlib.sha256(train_tokenizer([text], 1024)).hexdigest())\n"
    )
    other = subprocess.run(
        [sys.executable, "-c", program, str(shelf / "alice-in-wonderland.txt")],
        cwd=shelf.parents[1],
        env={"PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other.stdout.strip() == hashlib.sha256(tokenizer_proto).hexdigest()
    assert other.stderr == ""


@pytest.mark.parametrize("between", ["\t", "\0", "\u2585", "\ud800", " "])
def test_no_line_is_left_out_of_training(between: str) -> None:
    line = between.join(["zebra quagga"] * 20_000)
    learned = Tokenizer.from_bytes(train_tokenizer([line], 275))
    assert len(learned.encode("zebra")) <= 2


def test_a_word_of_a_megabyte_can_be_trained_on() -> None:
    learned = Tokenizer.from_bytes(train_tokenizer(["ab" * 500_000], 266))
    assert len(learned.encode("ab" * 8)) == 1


def test_a_vocabulary_too_large_names_the_largest(alice_text: str) -> None:
    with pytest.raises(ValueError, match="vocab_size 90000 is larger") as caught:
        train_tokenizer([alice_text[:20_000]], 90_000)
    largest = int(str(caught.value).split("choose ")[1].split()[0])
    assert Tokenizer.from_bytes(train_tokenizer([alice_text[:20_000]], largest)).vocab_size


def test_a_vocabulary_too_small_is_refused(alice_text: str) -> None:
    with pytest.raises(ValueError, match="vocab_size 270 is too small"):
        train_tokenizer([alice_text], 270)


@pytest.mark.parametrize("texts", [[], [""], ["\n\n", "\t"]])
def test_training_on_nothing_is_refused(texts: list[str]) -> None:
    with pytest.raises(ValueError, match="text for the tokenizer is empty"):
        train_tokenizer(texts, 1024)


def test_damaged_bytes_are_refused(
    tokenizer_proto: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    for damaged in (b"", b"junk", tokenizer_proto[:-10], tokenizer_proto[:50]):
        with pytest.raises(ValueError, match="damaged or not one of ours"):
            Tokenizer.from_bytes(damaged)
    assert capfd.readouterr().err == ""


def test_another_vocabulary_is_refused(tokenizer_proto: bytes) -> None:
    for mark in ("<|im_end|>", "<0x41>"):
        other = tokenizer_proto.replace(mark.encode(), b"x" * len(mark), 1)
        with pytest.raises(ValueError, match="damaged or not one of ours"):
            Tokenizer.from_bytes(other)


def test_a_vocabulary_without_bytes_is_refused(alice_text: str) -> None:
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(alice_text.split("\n")),
        model_writer=model,
        model_type="bpe",
        vocab_size=300,
        eos_id=1,
        bos_id=-1,
        eos_piece=MARKS[1],
        control_symbols=list(MARKS[2:]),
        minloglevel=2,
    )
    with pytest.raises(ValueError, match="damaged or not one of ours"):
        Tokenizer.from_bytes(model.getvalue())


def test_hash_and_bytes_survive_storing(tokenizer: Tokenizer) -> None:
    again = Tokenizer.from_bytes(bytes(tokenizer.proto))
    assert again == tokenizer
    assert again.sha256 == hashlib.sha256(tokenizer.proto).hexdigest()
