"""Speeches out of the quotation marks of a novel.

A paragraph of speech gives one turn: the quoted words without the narrator's. A run of adjacent
speeches ends at a narrator's paragraph, or at a doubtful speech.
"""

import re
from typing import NamedTuple

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
_NEW_SENTENCE = re.compile(
    r"(?:You|He|She|It|We|They|The|This|That|There|Your|His|My|What|Why|How|Do|Don.t|Let|Now)\b"
)


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
