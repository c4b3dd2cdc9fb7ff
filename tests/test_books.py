"""Any text file becomes documents without losing a word, and stays readable for a life."""

import dataclasses
import json
import re
import stat
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model.chat import Message
from train.books import Book, Document, find_books, load_book, load_saved_book, save_book
from train.cleaning import clean_text, read_text
from train.dialogues import parse_dialogue
from train.prose import cut_prose

QUICK = settings(max_examples=150, deadline=None, derandomize=True)
WRAPPED = "the quick brown fox jumps over the lazy dog and then it sleeps for a while"
PROSE = st.lists(
    st.sampled_from(
        [
            *["\n", "\n\n", "\f", "<|endoftext|>\n", "CHAPTER IV\n", "Chapter 12. Of Cats\n", " "],
            *[f"{WRAPPED}\n", "  indented verse\n", "x" * 700, "word " * 300, "(Book II)\n", "-\n"],
        ]
    ),
    max_size=60,
).map("".join)


def squeezed(text: str) -> str:
    return "".join(re.sub(r"^<\|endoftext\|>$", "", text, flags=re.M).split())


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# --- reading ---------------------------------------------------------------------------------


def test_marks_and_line_ends_of_windows_go(data_folder: Path) -> None:
    text, encoding = read_text(data_folder / "gutenberg-utf8-bom-crlf.txt")
    assert encoding == "utf-8"
    assert text.startswith("Project Gutenberg’s Alice’s Adventures")
    assert "\r" not in text


def test_old_mac_line_ends_go(tmp_path: Path) -> None:
    assert read_text(written(tmp_path / "a.txt", "one\rtwo\r\nthree\n"))[0] == "one\ntwo\nthree\n"


def test_one_accent_in_a_latin1_book_is_right(data_folder: Path) -> None:
    text, encoding = read_text(data_folder / "gutenberg-latin1.txt")
    assert encoding == "cp1252"
    assert "a perfect Laocoön of" in text


def test_spanish_is_not_taken_for_czech(data_folder: Path) -> None:
    text, encoding = read_text(data_folder / "spanish-latin1.txt")
    assert encoding == "cp1252"
    assert "algún palomino de añadidura los domingos" in text


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_curly_quotes_survive(tmp_path: Path, shelf: Path, alice_text: str, encoding: str) -> None:
    path = written(tmp_path / "alice.txt", alice_text.encode(encoding))
    assert read_text(path) == (alice_text, encoding)
    original = load_book(shelf / "alice-in-wonderland.txt")
    assert load_book(path).sha256 == original.sha256


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Привет мир, это длинный текст о жизни и смерти\n" * 3, "cp1251"),
        ("Příliš žluťoučký kůň úpěl ďábelské ódy. Byl pozdní večer, první máj.\n", "cp1250"),
    ],
)
def test_other_scripts_are_recognised(tmp_path: Path, text: str, encoding: str) -> None:
    assert read_text(written(tmp_path / "a.txt", text.encode(encoding))) == (text, encoding)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b"\x7fELF\0\1", "is a binary file"), (b"", "holds no words"), (b" \n\t\n", "holds no")],
)
def test_files_without_text_are_refused(tmp_path: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"book .*a.txt {sentence}"):
        read_text(written(tmp_path / "a.txt", data))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"cannot be read \(No such file"):
        read_text(tmp_path / "none.txt")
    with pytest.raises(ValueError, match=r"cannot be read \(Is a directory"):
        read_text(tmp_path)


# --- cleaning --------------------------------------------------------------------------------


def test_licence_is_cut_away(data_folder: Path) -> None:
    text = clean_text(read_text(data_folder / "gutenberg-utf8-bom-crlf.txt")[0])
    assert text.startswith("ALICE’S ADVENTURES IN WONDERLAND\n\nLewis Carroll\n\nTHE MILL")
    assert text.endswith("the happy summer days.\n\n              THE END")
    assert "Gutenberg" not in text


def test_older_licence_is_cut_away(data_folder: Path) -> None:
    text = clean_text(read_text(data_folder / "gutenberg-older-edition.txt")[0])
    assert text.startswith("                ALICE'S ADVENTURES IN WONDERLAND\n\n")
    assert text.endswith("considering how in the world she was to get out again.")
    assert "WAISTCOAT-POCKET" in text


def test_credit_line_is_cut_away(data_folder: Path) -> None:
    text = clean_text(read_text(data_folder / "gutenberg-latin1.txt")[0])
    assert text.startswith("A CHRISTMAS CAROL\n\nIN PROSE\nBEING\n")
    assert text.endswith("and was now standing there: perfectly winded.")


def test_a_book_that_speaks_of_markers_stays_whole() -> None:
    text = "*** END OF PART ONE ***\n\nHe praised Project Gutenberg.\n\nThe rest."
    assert clean_text(text) == text


def test_wrapped_paragraphs_become_one_line() -> None:
    assert clean_text(f"{WRAPPED}   \n{WRAPPED}\nend.\n\n\n\nNext.\n") == (
        f"{WRAPPED} {WRAPPED} end.\n\nNext."
    )
    assert clean_text(f"{WRAPPED}\nend.\n<|endoftext|>\n{WRAPPED}\nend.") == (
        f"{WRAPPED} end.\n<|endoftext|>\n{WRAPPED} end."
    )
    assert clean_text(f"{WRAPPED}\n{WRAPPED}\n<|endoftext|>") == (
        f"{WRAPPED} {WRAPPED}\n<|endoftext|>"
    )
    assert clean_text(f"{WRAPPED}--\nyes\n\n{WRAPPED} -\nno") == (
        f"{WRAPPED}--yes\n\n{WRAPPED} - no"
    )


@pytest.mark.parametrize(
    "kept",
    [
        "Twas brillig, and the slithy toves\nDid gyre and gimble in the wabe",
        f"{WRAPPED}\n    {WRAPPED}\nand on",
        f"{WRAPPED}\nshort\n{WRAPPED}",
        f"{WRAPPED[:40]}     {WRAPPED[40:]}\n{WRAPPED}",
        f"{WRAPPED}\n<|endoftext|>\n{WRAPPED}",
        f"{WRAPPED}\f\n{WRAPPED}",
        f"{WRAPPED}\n{WRAPPED * 2}\n{WRAPPED}",
        f"{WRAPPED * 2}\n\n{WRAPPED}\n{WRAPPED}",
    ],
)
def test_other_line_breaks_stay(kept: str) -> None:
    assert clean_text(kept) == kept


@QUICK
@given(text=PROSE)
def test_cleaning_loses_no_word_and_settles_at_once(text: str) -> None:
    cleaned = clean_text(text)
    assert "".join(cleaned.split()) == "".join(text.split())
    assert clean_text(cleaned) == cleaned


# --- documents -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["alice-in-wonderland.txt", "wizard-of-oz.txt"])
def test_a_real_book_is_cut_without_loss(shelf: Path, name: str) -> None:
    book = load_book(shelf / name)
    documents = [*book.documents, *book.held_out]
    cleaned = clean_text((shelf / name).read_text(encoding="utf-8"))
    assert squeezed("".join(document.text for document in documents)) == squeezed(cleaned)
    assert 40 <= len(documents) <= 60
    assert len(book.held_out) == round(len(documents) * 0.05)
    assert max(len(document.text) for document in documents) < 2 * 4096
    # Whole paragraphs: every document begins where a paragraph begins.
    assert all(f"\n\n{document.text}" in f"\n\n{cleaned}" for document in documents)
    assert book.n_bytes == sum(len(document.text.encode()) for document in documents)


@QUICK
@given(text=PROSE)
@example(text="CHAPTER I\nx\f\n\n  y\n<|endoftext|>\n" + "z" * 3000)
def test_cutting_loses_no_word(text: str) -> None:
    cleaned = clean_text(text)
    parts = cut_prose(cleaned)
    assert squeezed("".join(parts)) == squeezed(cleaned)
    assert all(part.strip() for part in parts)
    assert not any("\f" in part for part in parts)


def test_short_books_have_short_documents() -> None:
    parts = cut_prose("\n\n".join([WRAPPED] * 400))
    assert 35 <= len(parts) <= 50
    assert len(set(map(len, parts[:-1]))) <= 2


def test_giant_lines_and_paragraphs_are_cut() -> None:
    words = cut_prose("word " * 50_000)
    assert max(map(len, words)) <= 2 * 4096
    assert {word for part in words for word in part.split()} == {"word"}
    assert max(map(len, cut_prose("x" * 100_000))) <= 2 * 4096
    lines = cut_prose("A line by itself.\n" * 20_000)
    assert max(map(len, lines)) <= 2 * 4096
    assert all(part.startswith("A line") and part.endswith("itself.") for part in lines)


@pytest.mark.parametrize("heading", ["CHAPTER II", "Chapter 12", "BOOK II", "STAVE ONE: Tea"])
@pytest.mark.parametrize("between", ["\n\n", "\n"])
def test_a_chapter_begins_a_document(heading: str, between: str) -> None:
    parts = cut_prose(f"{WRAPPED}{between}{heading}{between}And so on.")
    assert parts == [WRAPPED, f"{heading}{between}And so on."]


@pytest.mark.parametrize("line", ["Part us, Northumberland", "Act did", "Letter I'll write"])
def test_other_lines_begin_no_document(line: str) -> None:
    assert len(cut_prose(f"{WRAPPED}\n\n{line}\n\nAnd so on.")) == 1


def test_contents_do_not_make_documents_of_one_line() -> None:
    contents = "\n".join(f"CHAPTER {n}. On Cats" for n in range(1, 30))
    assert min(map(len, cut_prose(contents))) > 100
    assert len(cut_prose(contents + "\n\n" + "\n\n".join(["word " * 200] * 170))[0]) > 500


def test_form_feeds_and_stories_are_borders(tmp_path: Path) -> None:
    assert cut_prose("one\f\ntwo\n\fthree") == ["one", "two", "three"]
    pages = "\n\n".join([WRAPPED * 2] * 40)
    stories = [f"Once there was cat {n}.\n\n{WRAPPED}\nChapter 1\n{pages}" for n in range(40)]
    path = written(tmp_path / "stories.txt", "\n<|endoftext|>\n".join(stories))
    book = load_book(path)
    assert [document.text for document in (*book.documents, *book.held_out)] == stories
    assert len(book.held_out) == 2


@pytest.mark.parametrize(("n", "n_held_out"), [(4, 0), (5, 1), (29, 1), (31, 2), (100, 5)])
def test_the_last_twentieth_is_held_out(tmp_path: Path, n: int, n_held_out: int) -> None:
    path = written(tmp_path / "a.txt", "\f".join(f"text {index}" for index in range(n)))
    book = load_book(path)
    texts = [document.text for document in (*book.documents, *book.held_out)]
    assert texts == [f"text {index}" for index in range(n)]
    assert len(book.held_out) == n_held_out


# --- conversations ---------------------------------------------------------------------------


def test_the_real_dialogues_become_conversations(shelf: Path) -> None:
    book = load_book(shelf / "chatterbot-english.txt")
    assert (len(book.documents), len(book.held_out)) == (1925, 101)
    assert book.documents[1].messages[0] == Message("user", "What is AI?")
    assert book.documents[1].messages[1].text.startswith("AI is the field of science which")
    code = [talk for talk in book.documents if talk.messages[0].text.endswith("stack in Python?")]
    assert len(code[0].messages) == 2
    assert code[0].messages[1].text.startswith("Here's a stack:\n\n```\nclass Stack:\n    def")


def test_turns_are_joined_and_unanswered_talk_is_dropped() -> None:
    text = (
        "Title\nA: one\nA: two\nB: three\n  four\n\nB: five\n\nA: nobody\n\nA:\nB: x\nA: y\nB: z\n"
    )
    assert parse_dialogue(text) == [
        (Message("user", "one\ntwo"), Message("assistant", "three\n  four\nfive")),
        (
            *(Message("user", ""), Message("assistant", "x")),
            *(Message("user", "y"), Message("assistant", "z")),
        ),
    ]


def test_prose_with_few_speakers_stays_prose(tmp_path: Path) -> None:
    text = f"A: one\nB: two\n{WRAPPED}\nend\nend\n"
    assert load_book(written(tmp_path / "a.txt", text)).documents[0].text.startswith("A: one\nB:")


def test_wrapped_dialogue_keeps_its_turns(tmp_path: Path) -> None:
    book = load_book(written(tmp_path / "a.txt", f"A: {WRAPPED}\nB: {WRAPPED}\n"))
    assert book.documents == (
        Document(messages=(Message("user", WRAPPED), Message("assistant", WRAPPED))),
    )


def test_json_lines_give_conversations(tmp_path: Path) -> None:
    records = [
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "Hello \ud83d"},
            ]
        },
        {"instruction": "Add.", "input": "1 2", "output": "3"},
        {"instruction": "Sing.", "output": "La"},
        {"instruction": "Name.", "instances": [{"input": "", "output": "X"}, {"output": ""}]},
    ]
    text = "\n\n".join(json.dumps(record) for record in records)
    book = load_book(written(tmp_path / "a.jsonl", text))
    assert [[message.text for message in talk.messages] for talk in book.documents] == [
        ["Be kind.\nHi", "Hello \ud83d"],
        ["Add.\n\n1 2", "3"],
        ["Sing.", "La"],
        ["Name.", "X"],
    ]
    assert load_saved_book(save_book(book, tmp_path / "books").parent, book.sha256) == book


@pytest.mark.parametrize(
    "line",
    [
        *["{", "[]", "3", '{"text": "x"}', '{"instruction": "x"}', "[" * 100_000],
        '{"instruction": 1, "output": "x"}',
        '{"messages": [{"role": "god", "content": "x"}]}',
        '{"messages": 3}',
    ],
)
def test_a_bad_json_line_is_named(tmp_path: Path, line: str) -> None:
    good = '{"instruction": "Sing.", "output": "La"}'
    with pytest.raises(ValueError, match=r"book .*a.jsonl: line 3 is .*; correct or remove it\."):
        load_book(written(tmp_path / "a.jsonl", f"{good}\n\n{line}\n{good}"))


def test_a_book_without_answers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds nothing to learn"):
        load_book(written(tmp_path / "a.jsonl", '{"messages": []}'))


# --- finding and keeping ---------------------------------------------------------------------


def test_folders_give_their_books_by_name(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.txt", "C.TXT", "d.pdf", ".hidden.txt"):
        written(tmp_path / name, "x")
    (tmp_path / "e.txt").mkdir()
    names = [path.name for path in find_books([tmp_path / "d.pdf", str(tmp_path)])]
    assert names == ["d.pdf", "C.TXT", "a.txt", "b.jsonl"]


def test_nothing_found_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no books"):
        find_books([tmp_path])
    with pytest.raises(ValueError, match="does not exist"):
        find_books([tmp_path / "none.txt"])


@pytest.fixture
def saved(shelf: Path, tmp_path: Path) -> tuple[Book, Path]:
    book = load_book(shelf / "alice-in-wonderland.txt")
    return book, save_book(book, tmp_path / "life" / "books")


def test_a_saved_book_comes_back(saved: tuple[Book, Path]) -> None:
    book, path = saved
    assert path.name == f"{book.sha256}.json"
    assert load_saved_book(path.parent, book.sha256) == book
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert save_book(book, path.parent) == path
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_changed_or_missing_copy_is_refused(saved: tuple[Book, Path]) -> None:
    book, path = saved
    content = path.read_text()
    for damaged in (content.replace("Alice", "Alicf", 1), content[:-9], "", "[]", "{}"):
        path.write_text(damaged)
        with pytest.raises(ValueError, match="damaged"):
            load_saved_book(path.parent, book.sha256)
    path.unlink()
    with pytest.raises(ValueError, match="is missing"):
        load_saved_book(path.parent, book.sha256)


def test_the_hash_is_of_content_and_split_only(tmp_path: Path) -> None:
    one = load_book(written(tmp_path / "one.txt", "a\fb\fc\fd\n"))
    two = load_book(written(tmp_path / "two.txt", b"\xef\xbb\xbfa\f\r\nb\fc  \fd"))
    other = load_book(written(tmp_path / "one.txt", "a\fb\fcd"))
    assert one == dataclasses.replace(two, name="one")
    assert other.sha256 != one.sha256


def test_a_document_is_prose_or_talk() -> None:
    with pytest.raises(ValueError, match="either text or messages"):
        Document()
