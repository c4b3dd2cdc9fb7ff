"""Speeches out of plays, without stage directions and verse."""

import re
from collections import Counter

from bench.quoted_speech import tidy

_LABEL = re.compile(
    r"((?:(?:MRS|MR|DR)\. )?[A-Z][A-Z'’ ]+|[A-Z][a-z]+(?: [A-Z][a-z]+)?)(?:\.\s|\s*(?=[\[(]))"
)
_BOUNDARY = re.compile(r"(?:[A-Z]+ )?(?:ACT|SCENE|PREFACE)\b|END OF|CURTAIN")


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
