"""Conversations out of plays and novels, and the generated wordings."""

from itertools import islice

import pytest

from bench import wordings
from bench.dialogue_shelf import (
    BEGINNING_BYTES,
    as_text,
    conversations_of,
    cut_run,
    write_beginnings,
)
from train.dialogues import is_dialogue, parse_dialogue

NOVEL = """“Where are you going?” said
the Rat. “It is late.”

“To _town_,” answered the Mole, “if I may.”

The Rat thought about it for a long time.

“You may go.”

“Thank you,” said the Mole.

“Not at all,” said the Mole.

The “Blue Boar” was a house that nobody liked.
"""
BRITISH = NOVEL.replace("“", "'").replace("”", "'")
PLAY = """JACK.  [_Rising_.]  Where is she?

MRS. HILL. Not here. [She goes.
She returns.] Nor there.

[_Music_.]

JACK. How dull!
"""
VERSE = "First Citizen:\nHear me\nAnd speak. And\nRome waits.\n\nALL:\nSpeak and go to Rome.\n"


@pytest.mark.parametrize("text", [NOVEL, BRITISH])
def test_novel_gives_quoted_words_only(text):
    assert conversations_of("novel", text) == [
        ["Where are you going? It is late.", "To town, if I may."],
        ["You may go.", "Thank you."],
    ]


def test_two_speakers_in_one_paragraph_end_the_run():
    text = '"Why?" said Ann.\n\n"No," said Tom, and "Yes," said Ann.\n\n"Ah."\n'
    assert conversations_of("novel", text) == []


def test_unclosed_quotation_goes_on_in_the_next_paragraph():
    text = "“Why?”\n\n“It rained.\n\n“It snowed.”\n\n“Oh!”\n"
    assert conversations_of("novel", text) == [["Why?", "It rained. It snowed.", "Oh!"]]


def test_play_has_no_labels_and_no_directions():
    found = conversations_of("play-x", PLAY)
    assert found == [["Where is she?", "Not here. Nor there.", "How dull!"]]


def test_verse_becomes_prose():
    found = conversations_of("tiny-shakespeare", VERSE)
    assert found == [["Hear me and speak. And Rome waits.", "Speak and go to Rome."]]


def test_long_turn_is_left_out():
    text = f"“One?”\n\n“Two.”\n\n“{'word ' * 41}.”\n\n“Three.”\n"
    assert conversations_of("novel", text) == [["One?", "Two."]]


@pytest.mark.parametrize("count", range(2, 30))
def test_cut_runs_are_short_and_whole(count):
    run = [f"{index}{'?' * (index % 3 == 1)}" for index in range(count)]
    parts = list(cut_run(run))
    assert all(2 <= len(part) <= 6 for part in parts)
    left_out = count - sum(map(len, parts))
    assert (
        left_out <= 1 and [turn for part in parts for turn in part] == run[left_out:]
    ) or count > 6


def test_text_is_read_as_dialogue():
    found = list(wordings.conversations(1, 4000))
    text = "\n".join(map(as_text, found))
    assert is_dialogue(text)
    assert [[turn.text for turn in turns] for turns in parse_dialogue(text)] == found


def test_wordings_are_deterministic_and_of_the_wanted_size():
    found = list(wordings.conversations(7, 20_000))
    assert found == list(wordings.conversations(7, 20_000))
    assert found != list(wordings.conversations(8, 20_000))
    assert 20_000 <= len("\n".join(map(as_text, found))) + 1 < 23_000


def test_every_kind_has_many_wordings_and_fills_them():
    draw = wordings.Draw(2)
    for name, kind in wordings.KINDS.items():
        assert len(set(kind.asks)) >= 8
        for _ in range(20):
            fields = draw.makers[name]()
            fields["p"] = "my"
            for form in [*kind.tells, *kind.asks, *kind.clauses]:
                assert "{" not in form.format(**fields)


def test_what_was_told_is_answered_with_the_same_sentence():
    for turns in islice(wordings.conversations(3, 10**6), 200):
        answers = {}
        for asked, answer in zip(turns[::2], turns[1::2], strict=True):
            answers.setdefault(asked, set()).add(answer)
        assert all(len(given) == 1 for given in answers.values()) or "not" in str(answers)


def test_flip_knows_short_forms():
    assert wordings.flip("where I'm off to, and what I've lost", starts=False) == (
        "where you're off to, and what you've lost"
    )


def test_flip_changes_the_person():
    assert wordings.flip("I was late because my bus broke down.") == (
        "You were late because your bus broke down."
    )


def test_beginnings_are_whole_lines_of_english_texts(tmp_path):
    shelf, out = tmp_path / "shelf", tmp_path / "out"
    shelf.mkdir()
    line = "A line with \u00e9 in it.\n"
    (shelf / "long.txt").write_text(line * 10_000, encoding="utf-8")
    (shelf / "short.txt").write_text("No line end", encoding="utf-8")
    (shelf / "don-quijote-es.txt").write_text("En un lugar", encoding="utf-8")
    write_beginnings(shelf, out)
    assert {path.name for path in out.iterdir()} == {"long.txt", "short.txt"}
    long = (out / "long.txt").read_text(encoding="utf-8")
    assert long == line * (BEGINNING_BYTES // len(line.encode()))
    assert (out / "short.txt").read_text() == "No line end"
