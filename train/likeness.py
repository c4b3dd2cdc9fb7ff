"""How alike two questions are, by their words and by what asks with such words.

`question_forms.txt` tells which words ask the same: "settled" and "home town" are words of the set
of "Where does {who} live?". So a word stands for the sets that have it, and for itself; a word of
no set, such as a name, for itself alone.
"""

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from train.question_forms import bare_wordings, other_wordings
from train.schedule import Exchange
from train.wording import stems

# How much of a word is the word itself and not its sets, and what a word of an answer counts
# against one that is in every wording of its question.
ITSELF, OF_ANSWER = 0.5, 0.3


class _Word(NamedTuple):
    """The sets that have a word, how much it stands for each of them, and for itself."""

    sets: np.ndarray
    of_each: float
    itself: float


class _Text(NamedTuple):
    """What a text stands for: sets of questions, `sets_Q`, and words; `unknown` are in no set."""

    sets_Q: np.ndarray
    words: Mapping[str, float]
    unknown: Mapping[str, float]


def likeness(say: str, lessons: Sequence[Exchange]) -> list[float]:
    """How alike these words and each lesson's question are, from 0 to 1.

    A lesson's question counts in all the wordings that are known of it, and its answer a little.
    A word of no set counts the less the more of these lessons have it.
    """
    texts = [_text_of_lesson(lesson) for lesson in lessons]
    counts = Counter(word for text in texts for word in text.unknown)
    most = _rarity(1, len(texts))
    rarities = {word: _rarity(count, len(texts)) / most for word, count in counts.items()}
    asked = _text({word: 1.0 for word in stems(say)})
    asked_words = _own_words(asked, rarities)
    length = _length(asked.sets_Q, asked_words)
    alike = []
    for text in texts:
        words = _own_words(text, rarities)
        in_common = math.fsum(asked_words[w] * words[w] for w in asked_words.keys() & words.keys())
        lengths = length * _length(text.sets_Q, words)
        alike.append((float(asked.sets_Q @ text.sets_Q) + in_common) / lengths if lengths else 0.0)
    return alike


def _own_words(text: _Text, rarities: Mapping[str, float]) -> dict[str, float]:
    unknown = {word: share * rarities.get(word, 1.0) for word, share in text.unknown.items()}
    return {**text.words, **unknown}


def _length(sets_Q: np.ndarray, words: Mapping[str, float]) -> float:
    return math.sqrt(float(sets_Q @ sets_Q) + math.fsum(part**2 for part in words.values()))


@functools.lru_cache(maxsize=4096)
def _text_of_lesson(lesson: Exchange) -> _Text:
    wordings = [lesson.say, *other_wordings(lesson.say)]
    counts = Counter(word for wording in wordings for word in stems(wording))
    shares = {word: count / len(wordings) for word, count in counts.items()}
    of_answer = {word: max(OF_ANSWER, shares.get(word, 0.0)) for word in stems(lesson.answer)}
    return _text(shares | of_answer)


def _text(shares: Mapping[str, float]) -> _Text:
    known, sets = _words_of_sets()
    sets_Q = np.zeros(sets, np.float32)
    words, unknown = {}, {}
    for word, share in sorted(shares.items()):
        if word in known:
            sets_Q[known[word].sets] += share * known[word].of_each
            words[word] = share * known[word].itself
        else:
            unknown[word] = share
    return _Text(sets_Q, words, unknown)


@functools.cache
def _words_of_sets() -> tuple[dict[str, _Word], int]:
    """Every word of the sets, and how many sets there are."""
    forms = [_all_stems(wordings) for wordings in bare_wordings()]
    having: dict[str, list[int]] = {}
    for number, words in enumerate(forms):
        for word in sorted(words):
            having.setdefault(word, []).append(number)
    most = _rarity(1, len(forms))
    known = {}
    for word, numbers in having.items():
        rarity = _rarity(len(numbers), len(forms)) / most
        of_sets = math.sqrt((1 - ITSELF**2) / len(numbers))
        known[word] = _Word(np.array(numbers), of_sets * rarity, ITSELF * rarity)
    return known, len(forms)


def _all_stems(wordings: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*map(stems, wordings))


def _rarity(count: int, among: int) -> float:
    """Inverse document frequency, positive for a word that all have."""
    return math.log((among + 1) / (count + 0.5))
