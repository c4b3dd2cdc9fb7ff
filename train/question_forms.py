"""Sets of wordings that ask the same: a question in one of them can be asked in another.

`question_forms.txt` holds a set per block: `#` and what it asks, its wordings, and answers behind
`= `. Slots in braces stand for what differs: `{who}`, `{thing}` and `{what}` for a few words,
`{who's}` and `{thing's}` for the same words as an owner.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from importlib import resources
from typing import NamedTuple

import numpy as np

from train.wording import content_words, normalized, plain

# What a slot may stand for: four words at most; a thing is somebody's or a certain one, so that
# nobody is asked where Paris is kept.
_SLOT_WORDS = {
    "who": r"\S+(?: \S+){0,3}?",
    "what": r"\S+(?: \S+){0,3}?",
    "thing": r"(?:my|our|the) \S+(?: \S+){0,2}?",
}
# Words of content that have to agree where a question is in no set word for word.
ABOUT_WORDS = 2
_SLOT = re.compile(r"\{(\w+)('s)?\}")
# Words that are not what is asked about: persons, and what only says that it is asked now.
_ASIDE = frozenset(("i", "me", "you", "we", "us", "now", "again", "currently"))
_QUESTION_WORDS = frozenset(
    ("what", "which", "who", "whom", "whose", "where", "when", "how", "why")
)


class QuestionForm(NamedTuple):
    """What is asked, in all its wordings, and how it is answered."""

    topic: str
    asks: tuple[str, ...]
    answers: tuple[str, ...]


class _Pattern(NamedTuple):
    """A wording with slots; of several that fit the one with the most letters counts."""

    pattern: re.Pattern[str]
    letters: int
    form: int


def read_question_forms(text: str) -> tuple[QuestionForm, ...]:
    """The sets of a text, in its order.

    Raises:
      ValueError: a block without a topic, with fewer than two wordings or without an answer, or
        whose wordings do not all have the same slots.
    """
    forms = []
    for block in text.strip().split("\n\n"):
        topic, *lines = block.split("\n")
        asks = tuple(line for line in lines if not line.startswith("= "))
        answers = tuple(line[2:] for line in lines if line.startswith("= "))
        if not topic.startswith("# ") or len(asks) < 2 or not answers:
            raise ValueError(
                f"a set of wordings needs a topic, two wordings and an answer, got {block!r}."
            )
        if len({frozenset(slot[1] for slot in _SLOT.finditer(ask)) for ask in asks}) > 1:
            raise ValueError(f"all wordings of a set need the same slots, got {block!r}.")
        forms.append(QuestionForm(topic[2:], asks, answers))
    return tuple(forms)


@functools.cache
def question_forms() -> tuple[QuestionForm, ...]:
    """The sets that come with the program."""
    text = resources.files("train").joinpath("question_forms.txt").read_text(encoding="utf-8")
    return read_question_forms(text)


def bare_wordings() -> Iterator[tuple[str, ...]]:
    """The wordings of every set without what their slots stand for."""
    for form in question_forms():
        yield tuple(_SLOT.sub("", ask) for ask in form.asks)


def _wordings(*, slots: bool) -> Iterator[tuple[int, str]]:
    """The wordings with or without slots, and the number of each one's set."""
    for number, form in enumerate(question_forms()):
        for ask in form.asks:
            if bool(_SLOT.search(ask)) == slots:
                yield number, ask


@functools.cache
def _forms_by_wording() -> dict[str, int]:
    """The set of every wording without slots, by its words; the first of several."""
    found: dict[str, int] = {}
    for number, ask in _wordings(slots=False):
        found.setdefault(normalized(ask), number)
    return found


@functools.cache
def _patterns() -> tuple[_Pattern, ...]:
    found = [
        _Pattern(_pattern(ask), len(_SLOT.sub("", ask)), number)
        for number, ask in _wordings(slots=True)
    ]
    return tuple(sorted(found, key=lambda wording: -wording.letters))


@functools.cache
def _forms_about() -> dict[frozenset[str], set[int]]:
    """The sets that have a wording without slots which asks so about these words."""
    found: dict[frozenset[str], set[int]] = {}
    for number, ask in _wordings(slots=False):
        if about := _about(ask):
            found.setdefault(about, set()).add(number)
    return found


def _about(text: str) -> frozenset[str]:
    """The question words and the content words of a question; none if it has no content."""
    content = content_words(text) - _ASIDE
    asking = _QUESTION_WORDS & {word.removesuffix("'s") for word in normalized(text).split()}
    return content | asking if len(content) >= ABOUT_WORDS else frozenset()


def ask_otherwise(text: str, draws: np.random.Generator) -> str | None:
    """The question in another wording of the set that it belongs to; None if it is in none.

    Args:
      text: one line that somebody said.
      draws: only its uniform numbers are used.
    """
    others = other_wordings(text)
    return others[int(draws.random() * len(others))] if others else None


@functools.lru_cache(maxsize=4096)
def other_wordings(text: str) -> tuple[str, ...]:
    """All other wordings of the set that a question belongs to; none if it is in no set.

    It belongs to a set when it is one of its wordings, or says what one of them says that has no
    slots, by its question words and content, and is in no other set.
    """
    form, slots = _find(text)
    if form is not None:
        asks = [fill(ask, slots) for ask in question_forms()[form].asks]
        return tuple(ask for ask in asks if normalized(ask) != normalized(text))
    forms = _forms_about().get(_about(text), set())
    return question_forms()[next(iter(forms))].asks if len(forms) == 1 else ()


def _find(text: str) -> tuple[int | None, dict[str, str]]:
    """The set that has this wording, if one does, and the words in its slots."""
    if (form := _forms_by_wording().get(normalized(text))) is not None:
        return form, {}
    words = plain(text)
    for wording in _patterns():
        if found := wording.pattern.fullmatch(words):
            return wording.form, found.groupdict()
    return None, {}


def fill(template: str, slots: Mapping[str, str]) -> str:
    """The template with the slots' words in it, beginning with a capital letter."""
    filled = fill_slots(template, slots.__getitem__)
    return filled[:1].upper() + filled[1:]


def fill_slots(template: str, words_of: Callable[[str], str]) -> str:
    """The template with `words_of` each slot's name in its place; an owner keeps its 's."""
    return _SLOT.sub(lambda found: words_of(found[1]) + (found[2] or ""), template)


def _pattern(ask: str) -> re.Pattern[str]:
    parts, end, seen = [], 0, set()
    words_of_ask = plain(ask)
    for slot in _SLOT.finditer(words_of_ask):
        name = slot[1]
        parts.append(re.escape(words_of_ask[end : slot.start()]))
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{_SLOT_WORDS[name]})")
        parts.append(slot[2] or "")
        seen.add(name)
        end = slot.end()
    parts.append(re.escape(words_of_ask[end:]))
    return re.compile("".join(parts), re.IGNORECASE)
