"""A pass shows every token once, crosses no document's border, and needs no memory."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.chat import Message
from model.tokenizer import Tokenizer
from train.books import Document, load_book
from train.windows import (
    Batch,
    EncodedBook,
    EncodedDocument,
    count_windows,
    encode_book,
    held_out_batches,
    held_out_bytes,
    shuffled,
    window_stream,
)

QUICK = settings(max_examples=60, deadline=None, derandomize=True)


def numbered_book(lengths: list[int]) -> EncodedBook:
    """Every token of this book is another number, so that each can be followed."""
    documents = []
    first = 1
    for length in lengths:
        ids = np.arange(first, first + length, dtype=np.int32)
        weights = np.array([0, *[1] * (length - 1)], np.float32)
        documents.append(EncodedDocument(ids, weights))
        first += length
    return EncodedBook("numbers", "0123", tuple(documents), tuple(documents[-2:]))


BOOK = st.lists(st.integers(1, 30), max_size=12).map(numbered_book)


def whole(book: EncodedBook, *, context: int, size: int, seed: int = 1, pass_: int = 0) -> Batch:
    windows = window_stream(book, seed=seed, pass_=pass_, context=context)
    batches = [windows.batch(first, size) for first in range(0, windows.n_windows, size)]
    fields = ("tokens_BT", "targets_BT", "weights_BT", "segments_BT")
    return Batch(
        *(
            np.concatenate([getattr(batch, field) for batch in batches] or [np.zeros((0, context))])
            for field in fields
        )
    )


@QUICK
@given(book=BOOK, context=st.integers(1, 20), size=st.integers(1, 4), pass_=st.integers(0, 3))
def test_every_token_is_once_an_input_and_once_a_target(
    book: EncodedBook, context: int, size: int, pass_: int
) -> None:
    batch = whole(book, context=context, size=size, pass_=pass_)
    inputs = Counter(batch.tokens_BT[batch.tokens_BT > 0].tolist())
    targets = Counter(batch.targets_BT[batch.weights_BT > 0].tolist())
    assert inputs == Counter(id_ for document in book.documents for id_ in document.ids.tolist())
    assert targets == Counter(
        id_ for document in book.documents for id_ in document.ids[1:].tolist()
    )
    assert len(batch.tokens_BT) - count_windows(book, context) in range(size)


@QUICK
@given(book=BOOK, context=st.integers(1, 20), size=st.integers(1, 4))
def test_segments_are_the_documents(book: EncodedBook, context: int, size: int) -> None:
    home = {
        id_: index for index, document in enumerate(book.documents) for id_ in document.ids.tolist()
    }
    batch = whole(book, context=context, size=size)
    for tokens, targets, weights, segments in zip(
        batch.tokens_BT.tolist(),
        batch.targets_BT.tolist(),
        batch.weights_BT.tolist(),
        batch.segments_BT.tolist(),
        strict=True,
    ):
        homes = [home.get(id_, -1) for id_ in tokens]
        assert [a == b for a in segments for b in segments] == [
            a == b for a in homes for b in homes
        ]
        assert segments[0] == 0 and set(np.diff(segments)) <= {0, 1}
        for token, target, weight in zip(tokens, targets, weights, strict=True):
            assert target in (0, token + 1)
            assert weight == (target > 0)
            assert target == 0 or home[token] == home[target]


def test_a_small_pass_by_hand() -> None:
    book = numbered_book([3, 4])
    seed = next(n for n in range(99) if orders(n, 2) == ([1, 0], [1, 0]))
    batch = window_stream(book, seed=seed, pass_=0, context=4).batch(0, 3)
    assert batch.tokens_BT.tolist() == [[1, 2, 3, 0], [4, 5, 6, 7], [0, 0, 0, 0]]
    assert batch.targets_BT.tolist() == [[2, 3, 0, 0], [5, 6, 7, 0], [0, 0, 0, 0]]
    assert batch.weights_BT.tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    assert batch.segments_BT.tolist() == [[0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert [values.dtype.name for values in vars(batch).values()] == [
        *["int32", "int32", "float32", "int32"]
    ]


def test_a_window_may_hold_two_documents() -> None:
    seed = next(n for n in range(99) if orders(n, 2) == ([0, 1], [0, 1]))
    batch = window_stream(numbered_book([3, 4]), seed=seed, pass_=0, context=4).batch(0, 2)
    assert batch.tokens_BT.tolist() == [[1, 2, 3, 4], [5, 6, 7, 0]]
    assert batch.targets_BT.tolist() == [[2, 3, 0, 5], [6, 7, 0, 0]]
    assert batch.segments_BT.tolist() == [[0, 0, 0, 1], [0, 0, 0, 1]]


def orders(seed: int, n: int) -> tuple[list[int], list[int]]:
    """The order of documents and that of windows in the first pass over the numbered book."""
    documents, windows = (
        shuffled(n, what=what, seed=seed, sha256="0123", pass_=0).tolist()
        for what in ("documents", "windows")
    )
    return documents, windows


@QUICK
@given(book=BOOK, first=st.integers(0, 12), size=st.integers(1, 5))
def test_any_batch_is_found_without_the_ones_before(
    book: EncodedBook, first: int, size: int
) -> None:
    windows = window_stream(book, seed=3, pass_=2, context=7)
    rows = [windows.batch(index, 1) for index in range(first, first + size)]
    for field, values in vars(windows.batch(first, size)).items():
        assert np.array_equal(values, np.concatenate([getattr(row, field) for row in rows]))


def test_the_order_depends_on_seed_book_and_pass() -> None:
    drawn = [
        shuffled(50, what=what, seed=seed, sha256=sha256, pass_=pass_).tolist()
        for what, seed, sha256, pass_ in [
            ("windows", 0, "a", 0),
            ("documents", 0, "a", 0),
            ("windows", 1, "a", 0),
            ("windows", 0, "b", 0),
            ("windows", 0, "a", 1),
        ]
    ]
    assert all(sorted(order) == list(range(50)) for order in drawn)
    assert len({tuple(order) for order in drawn}) == 5


def test_neighbouring_windows_are_read_apart() -> None:
    tokens_BT = whole(numbered_book([400]), context=4, size=1).tokens_BT
    followers = np.sum(tokens_BT[1:, 0] == tokens_BT[:-1, -1] + 1)
    assert followers < 10


def test_the_order_is_the_same_in_every_process_and_release() -> None:
    order = shuffled(8, what="windows", seed=7, sha256="ab12", pass_=3).tolist()
    program = (
        "import json; from train.windows import shuffled as f;"
        "print(json.dumps(f(8, what='windows', seed=7, sha256='ab12', pass_=3).tolist()))"
    )
    other = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        env={"PYTHONHASHSEED": "9"},
        capture_output=True,
        check=True,
    )
    assert json.loads(other.stdout) == order
    assert order == GOLDEN_ORDER, "the order of reading changed; did you mean to? Lives replay it"


GOLDEN_ORDER = [5, 6, 2, 4, 3, 0, 7, 1]


def test_a_real_book_is_read_whole(tokenizer: Tokenizer, shelf: Path) -> None:
    book = load_book(shelf / "alice-in-wonderland.txt")
    encoded = encode_book(book, tokenizer)
    assert (encoded.name, encoded.sha256) == (book.name, book.sha256)
    for text, document in zip(book.documents, encoded.documents, strict=True):
        assert document.ids[0] == tokenizer.document
        assert tokenizer.decode(document.ids.tolist()) == text.text
        assert document.weights.tolist() == [0.0] + [1.0] * (len(document.ids) - 1)
    batch = whole(encoded, context=256, size=4)
    assert batch.weights_BT.sum() == encoded.n_tokens - len(encoded.documents)
    assert tokenizer.n_bytes_V[batch.tokens_BT].sum() == sum(
        len(document.text.encode()) for document in book.documents
    )


def test_only_answers_count_in_conversations(tokenizer: Tokenizer, shelf: Path) -> None:
    book = load_book(shelf / "chatterbot-english.txt")
    talk = Document(messages=(Message("user", "Are you sentient?"), Message("assistant", "No.")))
    encoded = encode_book(book, tokenizer)
    index = next(i for i, d in enumerate(book.documents) if len(d.messages) == 2)
    document, messages = encoded.documents[index], book.documents[index].messages
    learned = document.ids[document.weights == 1.0].tolist()
    assert len(talk.messages) == len(messages)
    assert learned == [*tokenizer.encode(messages[1].text), tokenizer.turn_end]


def test_held_out_text_is_counted_in_bytes(tokenizer: Tokenizer, shelf: Path) -> None:
    book = load_book(shelf / "alice-in-wonderland.txt")
    encoded = encode_book(book, tokenizer)
    batches = list(held_out_batches(encoded, context=64, size=3))
    assert all(batch.tokens_BT.shape == (3, 64) for batch in batches)
    targets = np.concatenate([batch.targets_BT[batch.weights_BT == 1.0] for batch in batches])
    assert tokenizer.decode(targets.tolist()) == "".join(d.text for d in book.held_out)
    n_bytes = sum(len(document.text.encode()) for document in book.held_out)
    assert held_out_bytes(encoded, tokenizer.n_bytes_V) == n_bytes
    assert int(tokenizer.n_bytes_V[targets].sum()) == n_bytes


def test_held_out_bytes_of_talk_are_the_answers(tokenizer: Tokenizer, shelf: Path) -> None:
    book = load_book(shelf / "chatterbot-english.txt")
    answers = [
        message.text for d in book.held_out for message in d.messages if message.role == "assistant"
    ]
    n_bytes = held_out_bytes(encode_book(book, tokenizer), tokenizer.n_bytes_V)
    assert n_bytes == len("".join(answers).encode())


def test_nothing_held_out_gives_no_batches() -> None:
    book = EncodedBook("none", "0", (), ())
    assert list(held_out_batches(book, context=8, size=2)) == []
    assert count_windows(book, 8) == 0


def test_senseless_sizes_are_refused() -> None:
    book = numbered_book([3])
    with pytest.raises(ValueError, match="context must be at least 1 token, got 0"):
        window_stream(book, seed=0, pass_=0, context=0)
    with pytest.raises(ValueError, match="context must be at least 1 token, got 0"):
        count_windows(book, 0)
    with pytest.raises(ValueError, match="size must be at least 1 window, got 0"):
        list(held_out_batches(book, context=4, size=0))
