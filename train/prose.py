"""Cleaned prose -> documents of whole paragraphs."""

import re
from collections.abc import Iterator
from itertools import pairwise

_LARGEST, _SMALLEST, _USUAL_COUNT = 4096, 200, 40  # characters, characters, documents

_STORY_MARK = re.compile(r"^<\|endoftext\|>$", re.M)
_SECTION_END = re.compile(r"\f|^<\|endoftext\|>$", re.M)
_HEADING = re.compile(
    r"^[ \t]*(?=[A-Z])(?i:chapter|book|part|volume|stave|letter|act|scene|canto|section)[ \t]+"
    r"(?:[IVXLCDM]+|\d+|(?i:(?:the )?(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven"
    r"|twelve|thirteen|first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|last)))"
    r"(?![^\W_]|['’])[^\n]{0,80}$",
    re.M,
)
_PARAGRAPH = re.compile(r".+?(?:\n\n+|\Z)", re.S)
_LINE = re.compile(r"[^\n]*\n+|[^\n]+\Z")


def cut_prose(text: str) -> list[str]:
    """Returns the documents of a cleaned text; only blank lines and separators are left out."""
    has_stories = bool(_STORY_MARK.search(text))
    target = _LARGEST if has_stories else min(max(len(text) // _USUAL_COUNT, _SMALLEST), _LARGEST)
    parts: list[str] = []
    for section in _SECTION_END.split(text):
        if has_stories and len(section) <= 2 * target:
            parts.append(section)
        else:
            parts += _cut_section(section.strip("\n"), target)
    return [stripped for part in parts if (stripped := part.strip("\n")).strip()]


def _cut_section(section: str, target: int) -> Iterator[str]:
    """Yields pieces of about `target` characters that joined are the section."""
    first = 0  # where the piece begins
    after_heading = False
    for start, end in _units(section, target):
        is_heading = _HEADING.match(section, start, end) is not None
        size = start - first
        # A list of contents has headings close together; they stay in one piece.
        begins_chapter = is_heading and not after_heading and size > target // 8
        if size and (begins_chapter or size + (end - start) / 2 > target):
            yield section[first:start]
            first = start
        after_heading = is_heading
    yield section[first:]


def _units(section: str, target: int) -> Iterator[tuple[int, int]]:
    """Yields the borders of what stays together: paragraphs, or lines or words of giant ones.

    A chapter heading that no blank line sets apart begins a unit too.
    """
    for paragraph in _PARAGRAPH.finditer(section):
        headings = [found.start() for found in _HEADING.finditer(section, *paragraph.span())]
        borders = sorted({paragraph.start(), *headings, paragraph.end()})
        for start, end in pairwise(borders):
            if end - start <= 2 * target:
                yield start, end
            else:
                yield from _small_units(section, start, end, target)


def _small_units(section: str, start: int, end: int, target: int) -> Iterator[tuple[int, int]]:
    for line in _LINE.finditer(section, start, end):
        if line.end() - line.start() <= 2 * target:
            yield line.span()
            continue
        words = re.compile(rf"(?s:.{{1,{target}}}(?=\s|\Z)|.{{1,{target}}})")
        for found in words.finditer(section, *line.span()):
            yield found.span()
