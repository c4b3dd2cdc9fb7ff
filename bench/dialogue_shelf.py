"""Turns the plays and the quoted speech of a shelf into conversations, one file a source.

    python -m bench.dialogue_shelf --shelf=/path/to/books --out=FOLDER

A conversation is a part of a run of adjacent speeches (`bench.quoted_speech`, `bench.plays`) in
which none is long. The generated `wordings.txt` (see `bench.wordings`) goes into the same folder.
With `--beginnings` the first 150 kB of each English text go into another one: of long novels the
base of an hour reads no more, so that conversations are half of what it reads.
"""

import argparse
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench import wordings
from bench.plays import play_runs, shakespeare_runs
from bench.quoted_speech import novel_runs

LEFT_OUT = {
    "chatterbot-english",  # a dialogue file already
    "devils-dictionary",
    "don-quijote-es",
    "jargon-file",
    "meditations",
    "plato-apology",  # Plato's speakers are not labelled
    "plato-phaedo",
    "plato-republic",
    "plato-symposium",
    "state-of-the-union",
}
NOT_ENGLISH = {"don-quijote-es"}
BEGINNING_BYTES = 150_000
PLAY_WORDS, NOVEL_WORDS, MOST_TURNS = 45, 40, 6
_UNFIT = re.compile(r"\bnigger", re.I)  # not to be taught as an answer


def main() -> None:
    """Writes one file for each source and `wordings.txt`; prints what they hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shelf", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wordings_bytes", type=int, default=700_000)
    parser.add_argument("--beginnings", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.beginnings:
        write_beginnings(arguments.shelf, arguments.beginnings)
    for path in sorted(arguments.shelf.glob("*.txt")):
        if path.stem not in LEFT_OUT:
            found = conversations_of(path.stem, path.read_text(encoding="utf-8"))
            _write(arguments.out / f"{path.stem}-dialogues.txt", found)
    generated = wordings.conversations(arguments.seed, arguments.wordings_bytes)
    _write(arguments.out / "wordings.txt", list(generated))


def _write(path: Path, found: list[list[str]]) -> None:
    text = "\n".join(map(as_text, found))
    path.write_text(text, encoding="utf-8")
    print(f"{path.name}: {len(found)} conversations, {len(text.encode()):,} bytes")


def write_beginnings(shelf: Path, folder: Path) -> None:
    """The whole lines among the first 150 kB of each English text are in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(shelf.glob("*.txt")):
        text = path.read_bytes()
        if len(text) > BEGINNING_BYTES:
            text = text[: text.rfind(b"\n", 0, BEGINNING_BYTES) + 1]
        if path.stem not in NOT_ENGLISH:
            (folder / path.name).write_bytes(text)


def as_text(turns: Iterable[str]) -> str:
    """Returns the turns as lines with `A: ` and `B: ` by turns."""
    return "".join(f"{'AB'[index % 2]}: {turn}\n" for index, turn in enumerate(turns))


def conversations_of(name: str, text: str) -> list[list[str]]:
    """Returns the conversations of one source; the name tells the plays from the novels."""
    text = text.replace("\ufeff", "").replace("—", "--").replace("\u2026", "...")
    if name == "tiny-shakespeare":
        runs = shakespeare_runs(text)
    elif name.startswith("play-"):
        runs = play_runs(text)
    else:
        runs = novel_runs(text, one_line=name.startswith("tinystories"))
    limit = PLAY_WORDS if "play" in name or "shakespeare" in name else NOVEL_WORDS
    found = [turns for run in runs for part in _short(run, limit) for turns in cut_run(part)]
    return [list(turns) for turns in dict.fromkeys(map(tuple, found))]


def _short(run: list[str], limit: int) -> Iterator[list[str]]:
    """Yields the longest parts of a run in which every turn has at most `limit` words."""
    part: list[str] = []
    for turn in [*run, ""]:
        if 1 <= len(re.findall(r"\w+(?:['’]\w+)*", turn)) <= limit and not _UNFIT.search(turn):
            part.append(turn)
        else:
            yield part
            part = []


def cut_run(run: list[str]) -> Iterator[list[str]]:
    """Yields conversations of 2 to 6 turns; even ones that begin with a question are preferred."""
    while len(run) >= 2:
        if len(run) in (3, 5) and "?" not in run[0] and "?" in run[1]:
            run = run[1:]
        sizes = [size for size in (6, 4, 2, 5, 3) if len(run) - size not in (1, -1, -2, -3, -4)]
        sizes = [size for size in sizes if size <= len(run)]
        before_question = [size for size in sizes if size < len(run) and "?" in run[size]]
        size = len(run) if len(run) <= MOST_TURNS else (before_question or sizes)[0]
        yield run[:size]
        run = run[size:]


if __name__ == "__main__":
    main()
