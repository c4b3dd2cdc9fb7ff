"""A question in other words, made of its own: what matters stays, the frame around it changes."""

import re

import numpy as np

_WORD = re.compile(r"[^\s?!.,;:\"]+")
# Words that frame a question and say nothing about what is asked.
_FRAME_WORDS = """
    a an the is are was were am be been do does did can could will would shall should has have had
    what which who whom whose where when why how many much long old often far of to in on at for
    from by with about that this it its there please tell know remember say called named
    name's what's who's where's when's how's that's it's
"""
_FRAME = frozenset(_FRAME_WORDS.split())
_OPENINGS = (
    "Tell me, ",
    "Do you know, ",
    "Do you remember, ",
    "Can you tell me, ",
    "Please tell me: ",
    "I forgot, ",
    "Remind me, ",
    "Quick question: ",
    "And ",
    "So, ",
    "Hey, ",
    "By the way, ",
)
_ENDINGS = (", please?", ", do you know?", ", do you remember?", ", again?", " then?", "?")
_EXCHANGED = {
    "what's": "what is",
    "who's": "who is",
    "where's": "where is",
    "when's": "when is",
    "what": "which",
    "which": "what",
    "called": "name",
    "name": "called",
    "do": "can",
    "like": "enjoy",
    "favourite": "best",
    "live": "home",
    "job": "work",
    "work": "job",
    "begin": "start",
    "start": "begin",
}
_DROP, _EXCHANGE = 0.4, 0.25


def normalized(text: str) -> str:
    """The words alone, in lower case: two questions that differ in nothing else are one."""
    return plain(text).casefold()


def plain(text: str) -> str:
    """The words alone, one space between two of them."""
    return " ".join(_WORD.findall(text.replace("\u2019", "'")))


def content_words(text: str) -> frozenset[str]:
    """The words that say what a text is about."""
    return frozenset(word for word in normalized(text).split() if word not in _FRAME)


def stems(text: str) -> frozenset[str]:
    """The words of a text without the commonest endings."""
    return frozenset(map(_stem, normalized(text).split()))


def _stem(word: str) -> str:
    word = word.removesuffix("'s").removesuffix("'")
    for ending in ("ing", "ed", "es", "s", "e"):
        if len(word) > len(ending) + 2 and word.endswith(ending):
            return word[: -len(ending)]
    return word


def reword(text: str, draws: np.random.Generator) -> str:
    """The question with another frame, in another order or in lower case; no content word is lost.

    Args:
      text: one line that somebody said.
      draws: only its uniform numbers are used, which NumPy keeps the same in every version.
    """
    words = _WORD.findall(text)
    if len(words) < 2:
        return text
    words = _changed(words, draws)
    form = draws.random()
    if form < 0.3:
        cut = int(draws.random() * len(words))
        words = words[cut:] + words[:cut]
    elif form < 0.5:
        kept = [word for word in words if word.casefold() not in _FRAME]
        words = kept or words
    return _dressed(" ".join(words), draws)


def _changed(words: list[str], draws: np.random.Generator) -> list[str]:
    """The words with some of the frame left out or exchanged."""
    kept = []
    for word in words:
        draw = draws.random()
        plain = word.casefold()
        if plain in _EXCHANGED and draw < _EXCHANGE:
            kept.append(_EXCHANGED[plain])
        elif plain not in _FRAME or draw > _DROP:
            kept.append(word)
    return kept or words


def _dressed(text: str, draws: np.random.Generator) -> str:
    """The words as a person may write them: with an opening, a mark at the end, or neither."""
    opening, ending, lower = draws.random(3)
    if opening < 0.4:
        text = _OPENINGS[int(opening / 0.4 * len(_OPENINGS))] + text[:1].lower() + text[1:]
    if ending < 0.6:
        text += _ENDINGS[int(ending / 0.6 * len(_ENDINGS))]
    return text.lower() if lower < 0.3 else text[:1].upper() + text[1:]
