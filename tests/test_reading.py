"""Reading is the same whenever it stops, and never trains on what it is judged by."""

import dataclasses

import numpy as np
import pytest
from lives import READING, new_life, open_session, write_book

from train import reading_plan
from train.evaluate import bits_per_byte, sample_held_out
from train.flat_tree import tree_digest
from train.reading import BookReport, Progress, finished_reports
from train.reading_plan import next_pass


@pytest.fixture(scope="module")
def books(tmp_path_factory, alice_text):
    folder = tmp_path_factory.mktemp("books")
    return [
        write_book(folder, alice_text, "first.txt", 2000),
        write_book(folder, alice_text, "second.txt", 9000),
    ]


def read(workdir, books, reading=READING, stop_after=None):
    """Reads and returns the digest; `stop_after` windows Ctrl-C is pressed."""
    with open_session(workdir) as session:
        before = session.state.steps
        stopped = lambda: stop_after is not None and session_steps() >= stop_after  # noqa: E731
        steps = [before]
        session_steps = lambda: steps[0] - before  # noqa: E731
        for report in session.read(books, reading, stopped):
            if isinstance(report, Progress):
                steps[0] = report.step
        return tree_digest(session.state.train)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, alice_text, books):
    """The digest of a life that read both books once without a stop, and its folder."""
    workdir = tmp_path_factory.mktemp("whole") / "life"
    new_life(workdir, alice_text)
    return read(workdir, books), workdir


def test_the_same_run_twice_gives_the_same_bits(tmp_path, alice_text, books, whole):
    new_life(tmp_path / "life", alice_text)
    assert read(tmp_path / "life", books) == whole[0]


def test_another_seed_gives_other_bits(tmp_path, alice_text, books, whole):
    new_life(tmp_path / "life", alice_text, seed=1)
    assert read(tmp_path / "life", books) != whole[0]


def test_stopping_at_every_window_is_like_never_stopping(tmp_path, alice_text, books, whole):
    new_life(tmp_path / "life", alice_text)
    digest, steps = "", 0
    for number in range(1, 100):
        digest = read(tmp_path / "life", books, dataclasses.replace(READING, steps=number))
        with open_session(tmp_path / "life", read_only=True) as session:
            if session.state.steps == steps:
                break
            steps = session.state.steps
            assert steps == number
    assert steps > 20
    assert digest == whole[0]
    # Here every figure was measured; without a stop those after a book are those before the next.
    opened = []
    for workdir in (tmp_path / "life", whole[1]):
        with open_session(workdir, read_only=True) as session:
            rows = session.life.journal.events(kinds=("open",))
            opened.append([event.data["held_out"] for event in rows])
    assert opened[0] == opened[1]


def test_steps_read_exactly_so_many_windows(tmp_path, alice_text, books):
    new_life(tmp_path / "life", alice_text)
    for steps, expected in [(5, 5), (5, 5), (9, 9)]:
        read(tmp_path / "life", books, dataclasses.replace(READING, steps=steps))
        with open_session(tmp_path / "life", read_only=True) as session:
            assert session.state.steps == expected


def test_reading_on_after_the_end_changes_nothing_and_knows_the_reports(books, whole):
    digest, workdir = whole
    assert read(workdir, books) == digest
    with open_session(workdir) as session:
        assert list(session.read(books, READING)) == []
        reports = finished_reports(session.life, books, mix=False)
        assert [report.book for report in reports] == ["first", "second"]
        assert next_pass(session.life, [[books[0]]], READING, 64) is None


def test_the_forgetting_report_covers_every_earlier_book(tmp_path, alice_text, books):
    new_life(tmp_path / "life", alice_text)
    with open_session(tmp_path / "life") as session:
        reports = [r for r in session.read(books, READING) if isinstance(r, BookReport)]
        assert list(reports[0].held_out) == ["first"]
        assert list(reports[1].held_out) == ["first", "second"]
        first = reports[0].held_out["first"]
        assert first["before"] is not None and first["after"] is not None
        assert first["after"] < first["before"]
        # What the second book found is what the first one left.
        assert reports[1].held_out["first"]["before"] == first["after"]


def test_held_out_documents_are_never_trained_on(whole, books):
    with open_session(whole[1], read_only=True) as session:
        for book in books:
            encoded = session.life.library.get([book.sha256])
            assert encoded.held_out
            trained = {document.ids.tobytes() for document in encoded.documents}
            assert all(document.ids.tobytes() not in trained for document in encoded.held_out)


def test_bits_per_byte_of_uniform_guesses_is_known(whole, books):
    """With all weights zero every token costs log2(V) bits, so the figure is known exactly."""
    import jax

    with open_session(whole[1], read_only=True) as session:
        life, state = session.life, session.state
        zeros = jax.tree.map(np.zeros_like, state.train.params)
        book = life.library.get([books[0].sha256])
        windows = sample_held_out(book, state.config.model.context, None)
        found = bits_per_byte(zeros, windows, life.tokenizer.n_bytes_V, state.config)
        text = "".join(document.text for document in books[0].held_out)
        n_tokens = sum(len(document.ids) - 1 for document in book.held_out)
        expected = n_tokens * np.log2(400) / len(text.encode())
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_mixed_books_are_read_as_one(tmp_path, alice_text, books, whole):
    new_life(tmp_path / "life", alice_text)
    mixed = dataclasses.replace(READING, mix=True)
    assert read(tmp_path / "life", books, mixed) != whole[0]
    with open_session(tmp_path / "life") as session:
        (report,) = finished_reports(session.life, books, mix=True)
        assert list(report.held_out) == ["first", "second"]


def test_a_batch_reads_several_windows_in_one_step(tmp_path, alice_text, books):
    new_life(tmp_path / "life", alice_text)
    four = dataclasses.replace(READING, batch_size=4)
    digest = read(tmp_path / "life", books[:1], four)
    new_life(tmp_path / "again", alice_text)
    for steps in (8, 12, None):
        read(tmp_path / "again", books[:1], dataclasses.replace(four, steps=steps))
    with open_session(tmp_path / "again", read_only=True) as session:
        windows = session.life.journal.events(kinds=("read",))
        total = sum(event.data["windows"] for event in windows)
        assert session.state.steps == -(-total // 4)
        assert tree_digest(session.state.train) == digest


def test_the_pace_changes_at_a_step_whatever_stops_before_it(
    tmp_path, alice_text, books, monkeypatch
):
    monkeypatch.setattr(reading_plan, "YOUNG", reading_plan.Pace(1, 1e-3, 7))
    monkeypatch.setattr(reading_plan, "YOUNG_STEPS", 7)
    own_pace = dataclasses.replace(READING, batch_size=None, learning_rate=None)
    digests = []
    for name, stops in [("whole", []), ("stopped", [3, 7, 15])]:
        new_life(tmp_path / name, alice_text)
        for steps in [*stops, None]:
            digest = read(tmp_path / name, books[:1], dataclasses.replace(own_pace, steps=steps))
        digests.append(digest)
        with open_session(tmp_path / name, read_only=True) as session:
            rows = [event.data for event in session.life.journal.events(kinds=("read",))]
            sizes = [row["batch_size"] for row in rows for _ in range(row["windows"])]
            assert sizes == [1] * 7 + [8] * (len(sizes) - 7) and len(sizes) > 15
    assert digests[0] == digests[1]


def test_a_book_shorter_than_a_window_is_one_short_window(tmp_path, alice_text):
    new_life(tmp_path / "life", alice_text)
    (tmp_path / "note.txt").write_text("A short note.", encoding="utf-8")
    from train.books import load_book

    with open_session(tmp_path / "life") as session:
        reports = list(session.read([load_book(tmp_path / "note.txt")], READING))
        assert session.state.steps == 1
        assert isinstance(reports[-1], BookReport)
        assert reports[-1].held_out == {"note": {"before": None, "after": None}}
