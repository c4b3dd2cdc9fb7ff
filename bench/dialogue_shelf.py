"""Turns the plays and the quoted speech of a shelf into conversations, one file a source.

    python -m bench.dialogue_shelf --shelf=/path/to/books --out=FOLDER

A paragraph of speech gives one turn: the quoted words without the narrator's. A conversation is a
run of adjacent speeches; a narrator's paragraph, a long speech or a doubtful one ends it. The
generated `wordings.txt` (see `bench.wordings`) goes into the same folder.
"""

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench import wordings

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
PLAY_WORDS, NOVEL_WORDS, MOST_TURNS = 45, 40, 6
ASIDE_WORDS = 22  # the most words of the narrator beside a speech that is shorter than they

_END = r"""(?<=[,.!?;:)"'’”-])"""
_QUOTES = {  # style: (opening, closing)
    "“": (re.compile("“"), re.compile("”")),
    '"': (re.compile('"'), re.compile('"')),
    "‘": (re.compile("‘"), re.compile(rf"{_END}’(?!\w)")),
    "'": (re.compile(r"""(?<![^\s(-])'(?=[\w"(-])"""), re.compile(rf"{_END}'(?!\w)")),
}
_STRAIGHT = str.maketrans("“”‘’", "\"\"''")
_VERB = (
    "(?:said|says|sez|cried|replied|asked|answered|returned|exclaimed|whispered|shouted|called|"
    "remarked|observed|inquired|enquired|repeated|continued|added|murmured|muttered|demanded|"
    "suggested|interrupted|responded|rejoined|retorted|began|thought|growled|screamed|yelled|"
    "told|declared|ejaculated|pursued|proceeded|resumed|went on|laughed|sighed|sobbed|gasped|"
    "faltered|announced|explained|agreed|urged|pleaded|begged|roared|snapped|panted)"
)
_SPOKE = re.compile(rf"\b{_VERB}\b")
_AFTER = re.compile(rf"\W*{_VERB} ((?:(?:the|my|his|her) (?:\w+ )?)?(?:\w+\. )?\w+)")
_BEFORE = re.compile(rf"((?:\w+\. )?\b\w+) (?:\w+ly )?{_VERB}\b")
_GOES_ON = re.compile(r"\b(?:continued|added|went on|pursued|proceeded|resumed)\b")
_LEAD = re.compile(
    rf"""(?<=[.!?"”])\s+(?=[A-Z][^".!?“”]{{0,70}}\b{_VERB}\b[^".!?“”]{{0,40}}[,:] *["“])"""
)
_LABEL = re.compile(
    r"((?:(?:MRS|MR|DR)\. )?[A-Z][A-Z'’ ]+|[A-Z][a-z]+(?: [A-Z][a-z]+)?)(?:\.\s|\s*(?=[\[(]))"
)
_NEW_SENTENCE = re.compile(
    r"(?:You|He|She|It|We|They|The|This|That|There|Your|His|My|What|Why|How|Do|Don.t|Let|Now)\b"
)
_UNFIT = re.compile(r"\bnigger", re.I)  # not to be taught as an answer
_BOUNDARY = re.compile(r"(?:[A-Z]+ )?(?:ACT|SCENE|PREFACE)\b|END OF|CURTAIN")


class Speech(NamedTuple):
    """What one paragraph says.

    Attributes:
      text: the quoted words.
      speaker: the name or pronoun that the narrator gives, or "".
      is_open: the quotation is not closed: the next paragraph goes on with it.
      is_first: the speech cannot be an answer to the paragraph before it.
      is_last: the next paragraph cannot be an answer to it.
    """

    text: str
    speaker: str = ""
    is_open: bool = False
    is_first: bool = False
    is_last: bool = False


def main() -> None:
    """Writes one file for each source and `wordings.txt`; prints what they hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shelf", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--wordings_bytes", type=int, default=700_000)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
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


def novel_runs(text: str, one_line: bool = False) -> list[list[str]]:
    """Returns the runs of adjacent speeches; `one_line` says that every line is a paragraph."""
    style = quote_style(text)
    speeches = [
        None if is_verse(paragraph) else speech_of(" ".join(paragraph.split()), style)
        for paragraph in _paragraphs(text, one_line)
    ]
    runs: list[list[str]] = [[]]
    before: Speech | None = None
    for speech in speeches:
        if before and before.is_open:
            runs[-1].pop()
            if speech:
                speech = speech._replace(text=f"{before.text} {speech.text}", is_first=False)
                before = before._replace(speaker="")
        breaks = speech is None or speech.is_first or (before is not None and before.is_last)
        if breaks or (before and before.speaker and before.speaker == speech.speaker):
            runs.append([])
        if speech:
            runs[-1].append(tidy(speech.text))
        before = speech
    return runs


def _paragraphs(text: str, one_line: bool) -> list[str]:
    if one_line:
        return [part for line in text.split("\n") if line.strip() for part in _LEAD.split(line)]
    return [part for part in re.split(r"\n\s*\n", text) if not part.startswith("[Illustration")]


def is_verse(paragraph: str) -> bool:
    """Returns whether most lines after the first are indented."""
    lines = paragraph.strip("\n").split("\n")
    return sum(line.startswith("  ") for line in lines) * 2 > len(lines)


def quote_style(text: str) -> str:
    """Returns the opening quotation mark of most speeches of a text."""
    counts = {
        "“": text.count("“"),
        '"': text.count('"') // 2,
        "‘": text.count("‘"),
        "'": len(re.findall(r"(?:^|\s)'[A-Z]", text)),
    }
    return max(counts, key=lambda style: counts[style])


def split_speech(paragraph: str, style: str) -> tuple[list[str], bool]:
    """Returns narrator's words and quoted words by turns, and whether the last is not closed."""
    opening, closing = _QUOTES[style]
    parts: list[str] = []
    at = 0
    while found := opening.search(paragraph, at):
        end = closing.search(paragraph, found.end())
        parts += [paragraph[at : found.start()], paragraph[found.end() : end and end.start()]]
        if not end:
            return parts, True
        at = end.end()
    return [*parts, paragraph[at:]], False


def speech_of(paragraph: str, style: str) -> Speech | None:
    """Returns the speech of a paragraph that is mainly one person's, else None."""
    parts, is_open = split_speech(paragraph, style)
    told, quoted = parts[::2], parts[1::2]
    if is_open:
        told.append("")
    if not _is_speech(told, quoted, is_open):
        return None
    text = quoted[0].strip()
    for piece, between in zip(quoted[1:], told[1:-1], strict=True):
        is_new = bool(re.search(r"[.!?]\s*$|^\s*$", between) or _NEW_SENTENCE.match(piece))
        if text.endswith((",", ";")) and is_new:
            text = f"{text[:-1]}."
        text = f"{text} {piece.strip()}"
    if not is_open:
        text = re.sub(r"[,;]$", ".", text)
    return Speech(
        text,
        _speaker(told),
        is_open,
        is_first=bool(_GOES_ON.search(" ".join(told))),
        is_last=not is_open and told[-1].rstrip().endswith((":", ",", "--", ";")),
    )


def _is_speech(told: list[str], quoted: list[str], is_open: bool) -> bool:
    """Returns whether the quoted words are whole, of one speaker, and no mere citations."""
    if not quoted or not re.match(r"""(?:--|\.\.\.)?["'(_\s]*[A-Z0-9]|'[a-z]""", quoted[0]):
        return False
    if any(not re.search(r"""[,.!?;-]["')_]*\s*$""", piece) for piece in quoted[:-1]):
        return False
    if not is_open and not re.search(r"""[,.!?;-]["')_]*\s*$""", quoted[-1]):
        return False
    if any(not re.search(r"(?:[,:;.!?)-]|^)\s*$", words) for words in told[:-1]):
        return False
    if sum(len(_SPOKE.findall(words)) for words in told) > 1:
        return False  # two may speak
    if len(quoted[0].split()) > 2 and quoted[0].isupper():
        return False  # a notice, a headline
    told_count = len(" ".join(told).split())
    quoted_count = len(" ".join(quoted).split())
    is_lead_short = len(told[0].split()) <= 12
    return is_lead_short and (told_count <= quoted_count or told_count <= ASIDE_WORDS)


def _speaker(told: list[str]) -> str:
    """Returns the speaker as the narrator names him, or ""."""
    for index, words in enumerate(told):
        found = (_AFTER.match(words) if index else None) or _BEFORE.search(words)
        if found:
            return found[1].lower()
    return ""


def tidy(text: str) -> str:
    """Returns the text on one line with straight quotation marks and without underscores."""
    text = re.sub(r"\[[A-Z][^\]]*\]", "", text.translate(_STRAIGHT).replace("_", ""))
    text = re.sub(r"\.(?: \.)+", "...", text)
    text = re.sub(r"([!?])\s*\.(?!\.)|(?<!\.)(\.)\s*\.(?!\.)", r"\1\2", text).replace(", --", "--")
    text = re.sub(r" +([,.;!?])(?!\.)", r"\1", " ".join(text.split()))
    return text.strip()


def play_runs(text: str) -> list[list[str]]:
    """Returns the runs of speeches of a play with labels such as `ALGERNON.`"""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    counts = Counter(found[1] for part in paragraphs if (found := _LABEL.match(part)))
    runs: list[list[str]] = [[]]
    last_speaker = ""
    for part in paragraphs:
        found = _LABEL.match(part)
        if _BOUNDARY.match(part):
            found = None
            runs.append([])
        if not found or not (found[1].isupper() or counts[found[1]] >= 4):
            if len(part.split()) > 60:
                runs.append([])
            continue
        said = _without_directions(part[found.end() :])
        if not said:
            runs.append([])
        elif found[1] == last_speaker and runs[-1]:
            runs[-1][-1] += f" {said}"
        else:
            runs[-1].append(said)
        last_speaker = found[1]
    return runs


def _without_directions(said: str) -> str:
    """Returns a speech without stage directions, "" if one is not closed."""
    said = re.sub(r"\[[^\[\]]*\]|\([^()]*\)", " ", said)
    return "" if re.search(r"[\[\]()]", said) else re.sub(",$", ".", tidy(said).lstrip(" .,:;"))


def shakespeare_runs(text: str) -> list[list[str]]:
    """Returns one run of all speeches below `NAME:` lines; verse becomes prose."""
    inner = re.findall(r"(?<=[a-z,] )[A-Za-z']+", text)
    counts = Counter(inner)
    run = []
    for block in re.split(r"\n\s*\n", text):
        name, _, said = block.partition(":\n")
        if said and len(name) < 30:
            run.append(tidy(_unversed(said.strip(), counts)))
        elif block.strip():
            run.append("")  # no speech: the run is cut here
    return [run]


def _unversed(verse: str, counts: Counter[str]) -> str:
    """Returns verse on one line; a line's first capital stays if the word has one elsewhere."""

    def lowered(found: re.Match[str]) -> str:
        word = found[2]
        keeps = counts[word] >= counts[word.lower()] and counts[word] > 0
        return f"{found[1]} {word if keeps else word[0].lower() + word[1:]}"

    return re.sub(r"([^.!?\s])\n([A-Z][\w']*)", lowered, verse)


if __name__ == "__main__":
    main()
