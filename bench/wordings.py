"""Generates short conversations in which a thing that was told is asked back in other words.

`flip` turns a statement of the user into an answer. Names and values come from lists and are partly
invented, so that no answer can be known without the conversation.
"""

import random
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple

from bench import word_lists as lists
from bench.fact_kinds import ANNOUNCED, KINDS, OPENERS, THANKS, UNKNOWN, WRAPPERS
from bench.word_lists import split_list, split_words

_FLIPS = {"my": "your", "i": "you", "me": "you", "mine": "yours", "myself": "yourself"}
UNKNOWN_SHARE = 0.35  # of the conversations: one question that nothing answers
_OF_PERSONS = {"name", "lives", "birthday", "job", "age"}
_OF_THINGS = {"colour", "giver", "material"}
_OF_NOUNS = {"colour", "giver", "material", "kept", "number"}


class Fact(NamedTuple):
    """One fact: its kind and the fields of the kind's sentences."""

    kind: str
    fields: dict[str, str]


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def flip(text: str, starts: bool = True) -> str:
    """Returns what the user says as the assistant says it: `my` becomes `your`."""
    text = re.sub(
        r"\bI (am|was)\b", lambda found: {"am": "you are", "was": "you were"}[found[1]], text
    )
    text = re.sub(r"\bI'm\b", "you're", text)
    pattern = r"\b(my|I|me|mine|myself)\b"
    text = re.sub(pattern, lambda found: _FLIPS[found[0].lower()], text, flags=re.I)
    return _sentence(text) if starts else text


def _possessive(subject: str) -> str:
    return "my" if subject == "I" else f"{subject}'s"


def with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


class Draw:
    """Draws facts, sentences and conversations from one seeded source of randomness."""

    def __init__(self, seed: int | str):
        self.random = random.Random(seed)
        self.pick = self.random.choice
        self.makers: dict[str, Callable[[], dict[str, str]]] = {
            "name": self._name,
            "lives": lambda: {"s": self.person(), "v": self.town()},
            "site": lambda: {"s": f"my {self.pick(split_list(lists.SITES))}", "v": self.beside()},
            "kept": lambda: {
                "s": self._owned(self.pick(split_list(lists.KEPT))),
                "v": self.inside(),
            },
            "time": lambda: self._happens(
                lists.TIMED, f"at {self.pick(lists.PARTS)}{self.pick(lists.HOURS)}"
            ),
            "day": lambda: self._happens(lists.DAYED, f"on {self.pick(lists.DAYS)}"),
            "birthday": lambda: {
                "s": self.person(),
                "v": f"the {self.random.randint(4, 20)}th of {self.pick(lists.MONTHS)}",
            },
            "colour": lambda: {
                "s": self.thing(),
                "v": self.pick(lists.SHADES) + self.pick(lists.COLOURS),
            },
            "count": self._count,
            "number": lambda: {
                "s": self._owned(self.pick(split_list(lists.NUMBERED))),
                "v": str(self.random.randint(2, 2999)),
            },
            "job": lambda: {"s": self.person(), "v": with_article(self.pick(lists.JOBS))},
            "favourite": self._favourite,
            "owner": lambda: {"s": f"the {self._described()}", "v": self._somebody()},
            "giver": lambda: {"s": self.thing(), "v": self._somebody()},
            "age": self._age,
            "reason": self._reason,
            "content": self._content,
            "material": lambda: {"s": self.thing(), "v": self.pick(split_list(lists.MATERIALS))},
        }

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def name(self, names: list[str] = lists.NAMES) -> str:
        if self.chance(0.7):
            return self.pick(names)
        rest = [
            self.pick("bdfgklmnprstvz") + self.pick("aeiou") for _ in range(self.pick([1, 1, 2]))
        ]
        return "".join(
            [self.pick(lists.STARTS), self.pick("aeiou"), *rest, self.pick(["", "", *"nslr"])]
        )

    def town(self) -> str:
        return (
            self.pick(lists.TOWNS) if self.chance(0.6) else self.name() + self.pick(lists.TOWN_ENDS)
        )

    def person(self) -> str:
        first = self.pick(lists.RELATIONS)
        return (
            f"my {first}'s {self.pick(lists.RELATIONS[:19])}"
            if self.chance(0.15)
            else f"my {first}"
        )

    def thing(self) -> str:
        return self._owned(self.pick(lists.OBJECTS) if self.chance(0.7) else self._described())

    def _owned(self, noun: str) -> str:
        return f"my {self.pick(lists.RELATIONS)}'s {noun}" if self.chance(0.3) else f"my {noun}"

    def _described(self) -> str:
        return f"{self.pick(lists.ADJECTIVES)} {self.pick(lists.OBJECTS)}"

    def _somebody(self) -> str:
        return self.name() if self.chance(0.6) else self.person()

    def _name(self) -> dict[str, str]:
        if self.chance(0.65):
            return {"s": self.person(), "v": self.name()}
        return {"s": self._owned(self.pick(lists.PETS)), "v": self.name(lists.PET_NAMES)}

    def _age(self) -> dict[str, str]:
        if self.chance(0.3):
            return {"s": self._owned(self.pick(lists.PETS)), "v": self._number_word(1, 20)}
        person = self.person()
        youngest, oldest = (1, 35) if person.split()[-1] in lists.YOUNG else (24, 99)
        return {"s": person, "v": self._number_word(youngest, oldest)}

    def beside(self) -> str:
        if self.chance(0.3):
            return f"in {self.name()} {self.pick(lists.STREETS)}"
        return f"{self.pick(lists.BESIDE)} the {self.pick(split_list(lists.SPOTS))}"

    def inside(self) -> str:
        where = f"the {self.pick(lists.COLOURS)} {self.pick(split_list(lists.HOLDERS))}"
        room = f" in the {self.pick(split_list(lists.ROOMS))}" if self.chance(0.5) else ""
        return f"{self.pick(['in', 'in', 'in', 'under', 'behind', 'on'])} {where}{room}"

    def _happens(self, block: str, value: str) -> dict[str, str]:
        subject, verb, verbs = self.pick(split_list(block)).split(":")
        subject = subject if subject.startswith(("my ", "the ")) else f"the {subject}"
        return {"s": subject, "w": verb, "ws": verbs, "v": value}

    def _number_word(self, least: int, most: int) -> str:
        number = self.random.randint(least, most)
        if number < 20:
            return [*lists.HOURS, *lists.TEENS][number - 1]
        ten = lists.TENS[number // 10 - 2]
        return f"{ten}-{lists.HOURS[number % 10 - 1]}" if number % 10 else ten

    def _count(self) -> dict[str, str]:
        subject = "I" if self.chance(0.3) else self.person()
        has, owns, do = ("have", "own", "do") if subject == "I" else ("has", "owns", "does")
        fields = {
            "s": subject,
            "o": subject.replace("I", "me"),
            "t": self.pick(split_list(lists.COUNTED)),
        }
        return {**fields, "has": has, "owns": owns, "do": do, "v": self._number_word(2, 99)}

    def _favourite(self) -> dict[str, str]:
        subject = "I" if self.chance(0.6) else self.person()
        if self.chance(0.4):
            dish, noun = self.pick(lists.DISHES).split(":")
            value = f"{self.pick(lists.STUFF)} {noun}"
        else:
            dish = self.pick(list(lists.FAVOURITES))
            listed = {"*colour": lists.COLOURS, "*town": lists.TOWNS, "*name": lists.NAMES}
            value = self.pick(
                listed.get(lists.FAVOURITES[dish]) or split_words(lists.FAVOURITES[dish])
            )
            value = f"the {value}" if dish in lists.WITH_THE else value
        do, likes = ("do", "like") if subject == "I" else ("does", "likes")
        return {"s": subject, "t": dish, "v": value, "do": do, "likes": likes}

    def _reason(self) -> dict[str, str]:
        event, question = self.pick(split_list(lists.EVENTS)).split(":")
        return {"s": event, "q": question, "v": self.pick(split_list(lists.REASONS))}

    def _content(self) -> dict[str, str]:
        good = with_article(self.pick(split_list(lists.GOODS)))
        return {
            "s": f"the {self.pick(lists.COLOURS)} {self.pick(split_list(lists.HOLDERS)[:14])}",
            "v": good,
        }

    def fact(self, near: Fact | None) -> Fact:
        """Returns a new fact, often of the same kind or of the same subject as `near`."""
        kind = near.kind if near and self.chance(0.5) else self.pick(["name", *KINDS])
        fields = self.makers[kind]()
        if near and near.kind != kind and self._can_share(near, kind):
            fields["s"] = near.fields["s"]
        if near and near.kind == kind in _OF_NOUNS and self.chance(0.4):
            fields["s"] = self._owned(re.sub(r"^my (?:\S+'s )?", "", near.fields["s"]))
        if near and near.kind == kind == "count" and self.chance(0.5):
            fields["t"] = near.fields["t"]
        return Fact(kind, {**fields, "p": _possessive(fields["s"])})

    def _can_share(self, near: Fact, kind: str) -> bool:
        is_person = near.fields["s"].split()[-1] in lists.RELATIONS and kind != "age"
        return {near.kind, kind} <= _OF_THINGS or (is_person and {near.kind, kind} <= _OF_PERSONS)

    def facts(self, count: int) -> list[Fact]:
        """Returns facts of which no two have one subject, and no two of a kind have one value."""
        found: list[Fact] = []
        while len(found) < count:
            new = self.fact(self.pick(found) if found else None)
            about = [(fact.kind, fact.fields["s"], fact.fields.get("t")) for fact in found]
            values = [(fact.kind, fact.fields["v"]) for fact in found]
            is_told = (new.kind, new.fields["s"], new.fields.get("t")) in about
            if not is_told and (new.kind, new.fields["v"]) not in values:
                found.append(new)
        return found

    def question(self, fact: Fact, unlike: str = "") -> str:
        """Returns one wording of the question, another one than `unlike`."""
        while (asked := self._question(fact)) == unlike:
            pass
        return asked

    def _question(self, fact: Fact) -> str:
        kind = KINDS[fact.kind]
        if self.chance(0.4):
            return self.pick(split_list(WRAPPERS)).format(c=self.clause(fact))
        asked = _sentence(self.pick(kind.asks).format(**fact.fields))
        if self.chance(0.3):
            asked = re.sub(r"^(What|Where|Who|When|How) is\b", r"\1's", asked)
        if self.chance(0.15):
            asked = self.pick(OPENERS).format(q=asked[0].lower() + asked[1:])
        return asked

    def clause(self, fact: Fact) -> str:
        return self.pick(KINDS[fact.kind].clauses).format(**fact.fields)

    def statement(self, fact: Fact) -> str:
        return _sentence(self.pick(KINDS[fact.kind].tells).format(**fact.fields))

    def conversation(self) -> list[str]:
        """Returns turns by turns of the user and of the assistant."""
        *known, unknown = self.facts(self.random.randint(2, 5) + 1)
        told = [self.told(fact) for fact in known]
        asked = [
            [self.question(fact, first), answer]
            for fact, ((first, _), answer) in zip(known, told, strict=True)
        ]
        asked = self.random.sample(asked, min(len(asked), self.random.randint(1, 4)))
        if self.chance(UNKNOWN_SHARE):
            no = self.pick(split_list(UNKNOWN)).format(c=flip(self.clause(unknown), starts=False))
            turns = [self.question(unknown), no]
            if self.chance(0.4):
                new, answer = self.told(unknown)
                turns += [*new, self.question(unknown, turns[0]), answer]
            asked.insert(self.random.randint(0, len(asked)), turns)
        return self.typed(list(chain(*(turns for turns, _ in told), *asked)))

    def told(self, fact: Fact) -> tuple[list[str], str]:
        """Returns two turns that make a fact known, and the answer to later questions."""
        said = self.statement(fact)
        answer, thanks = flip(said), self.pick(split_list(THANKS))
        reply = self.pick([answer, answer, thanks, f"{thanks} {answer}"])
        return [self.pick(split_list(ANNOUNCED)) + said, reply], answer

    def typed(self, turns: list[str]) -> list[str]:
        """Returns the turns with the user's habits: lower case, no mark at the end."""
        is_lower, is_bare = self.chance(0.2), self.chance(0.25)
        for index in range(0, len(turns), 2):
            if is_bare and self.chance(0.8):
                turns[index] = turns[index].rstrip(".?") or turns[index]
            if is_lower:
                turns[index] = turns[index].lower()
        return turns


def conversations(seed: int, size: int) -> Iterator[list[str]]:
    """Yields conversations until they have `size` bytes as text."""
    draw = Draw(seed)
    while size > 0:
        turns = draw.conversation()
        size -= sum(len(turn.encode()) + 4 for turn in turns) + 1
        yield turns
