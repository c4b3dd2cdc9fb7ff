"""Writes conversations about what a person may tell, in many wordings, and small talk.

    python -m bench.question_shelf --out=FOLDER/questions.txt

Of `train/question_forms.txt`: questions that nobody has answered yet, whose replies name what was
asked in always the same words; things that are told and asked back; and facts about persons of
an invented town, which stay the same throughout. Of `bench/small_talk.txt`: what people say when
they meet. Values are drawn from lists; no fact of `bench/teaching` is among them.
"""

import argparse
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench import word_lists as lists
from bench.dialogue_shelf import as_text
from bench.word_lists import split_list, split_words
from bench.wordings import Draw, flip, with_article
from train.question_forms import QuestionForm, fill, fill_slots, question_forms

# Shares of the kinds of conversations.
KINDS = {"unknown": 0.2, "told": 0.2, "town": 0.1, "chat": 0.5}
# Of the replies to a remark the first has this share: a model that heard all of them equally often
# has no favourite, says a mixture of them, and gives way to whatever it is taught.
USUAL = 0.75
CITIZENS = 20
_OPENINGS = ("Do you know ", "Do you remember ", "Can you tell me ", "I forgot ", "Remind me ")
_OPENINGS += ("Tell me ", "I have forgotten ", "I cannot remember ", "Do you still know ")
_CLAUSE = re.compile(r"(?:what|where|which|who|whose|when|how|why|in which|on which|at what)\b")
_UNKNOWN = (
    "You have not told me {c}.",
    "You have not told me {c} yet.",
    "I do not know {c}.",
    "Nobody has told me {c}.",
    "I have not learnt {c}.",
)
_PLAIN_UNKNOWN = ("You have not told me that.", "I do not know that yet.")
SURNAMES = split_words("""Abbot Barley Carver Dunmore Eastley Farrow Gant Hollis Ingham Jarvis
Kettle Lomax Marlow Neville Orton Pascoe Quill Rudd Stroud Tilney Underhill Varley Wicks""")
COUNTRIES = split_words("""Norway Iceland Chile Peru Kenya Japan Greece Malta Latvia Cuba Nepal
Ghana Oman""")
LANGUAGES = split_words("""Danish Welsh Dutch Polish Turkish Latin Greek Finnish Arabic Hindi
Basque Czech""")
ACTIVITIES = split_list("""swimming|knitting|playing chess|baking bread|riding a horse
juggling|painting the fence|singing in the choir|mending clocks|walking by the river
watching birds|planting trees|writing letters|climbing rocks|dancing|picking mushrooms""")
WORDS = split_words("""lantern hopscotch gingersnap windmill sandpiper buttercup thunderbolt
marzipan kingfisher driftwood peppercorn starboard bluebell tumbleweed cobblestone""")
BOOKS = split_list("""The Iron Gate|A Winter Journey|The Glass Boat|Nine Doors|Salt and Snow
The Lost Shepherd""")
PEOPLE = split_list("""an old friend from school|a doctor's wife|the man from the bank
a retired captain|a girl from the choir|the woman next door|a cousin from abroad""")
_SMALL_TALK = Path(__file__).with_name("small_talk.txt")


def values(draw: Draw) -> dict[str, Callable[[], str]]:
    """What stands for each slot of an answer."""
    pick, number = draw.pick, draw.random.randint
    listed = {name: split_words(words) for name, words in lists.FAVOURITES.items()}
    return {
        "name": draw.name,
        "surname": lambda: pick(SURNAMES),
        "petname": lambda: pick(lists.PET_NAMES),
        "town": draw.town,
        "country": lambda: pick(COUNTRIES),
        "street": lambda: f"{draw.name()} {pick(lists.STREETS)}",
        "shop": lambda: f"{pick(SURNAMES)}'s",
        "colour": lambda: pick(lists.SHADES) + pick(lists.COLOURS),
        "number": lambda: str(number(2, 9999)),
        "small": lambda: pick(lists.HOURS[1:] + lists.TEENS),
        "hour": lambda: (
            f"{pick(['', 'half past ', 'a quarter to ', 'ten past '])}{pick(lists.HOURS)}"
        ),
        "day": lambda: pick(lists.DAYS),
        "month": lambda: pick(lists.MONTHS),
        "date": lambda: f"the {number(4, 20)}th of {pick(lists.MONTHS)}",
        "year": lambda: str(number(1921, 2024)),
        "job": lambda: with_article(pick(lists.JOBS)),
        "food": lambda: f"{pick(lists.STUFF)} {pick(['soup', 'cake', 'pie', 'salad', 'jam'])}",
        "drink": lambda: pick(listed["drink"]),
        "animal": lambda: with_article(pick(listed["animal"])),
        "object": lambda: with_article(pick(split_list(lists.GOODS))),
        "place": draw.inside,
        "where": draw.beside,
        "material": lambda: pick(split_list(lists.MATERIALS)),
        "reason": lambda: pick(split_list(lists.REASONS)),
        "activity": lambda: pick(ACTIVITIES),
        "instrument": lambda: pick(listed["instrument"]),
        "sport": lambda: pick(listed["sport"]),
        "language": lambda: pick(LANGUAGES),
        "word": lambda: pick(WORDS),
        "price": lambda: f"{pick([*lists.TEENS, *lists.TENS])} pounds",
        "book": lambda: pick(BOOKS),
        "person": lambda: pick(PEOPLE),
    }


class FormDraw:
    """Draws conversations from the question forms and from small talk."""

    def __init__(self, seed: int, kinds: Mapping[str, float] = KINDS) -> None:
        self.draw, self.kinds = Draw(seed), kinds
        self.random, self.pick = self.draw.random, self.draw.pick
        self.values = values(self.draw)
        self.forms = question_forms()
        self.of_persons = [form for form in self.forms if "{who" in form.asks[0]]
        blocks = _SMALL_TALK.read_text(encoding="utf-8").strip().split("\n\n")
        self.small_talk = [block.split("\n")[1:] for block in blocks]
        self.citizens = self.random.sample(lists.NAMES, CITIZENS)

    def conversation(self) -> list[str]:
        """Turns by turns of the user and of the assistant."""
        kind = self.random.choices([*self.kinds], [*self.kinds.values()])[0]
        return self.draw.typed(getattr(self, kind)())

    def unknown(self) -> list[str]:
        """Questions about what nobody has told."""
        turns = []
        for form in self.random.sample(self.forms, self.random.randint(1, 3)):
            slots = self.slots(form)
            turns += [self.ask(form, slots), self.do_not_know(form, slots)]
        return turns

    def told(self) -> list[str]:
        """Things that are told, or asked and then told, and asked back."""
        first, later = [], []
        for form in self.random.sample(self.forms, self.random.randint(1, 3)):
            slots = self.slots(form)
            answer = self.answer(form, slots)
            if self.draw.chance(0.3):
                first += [self.ask(form, slots), self.do_not_know(form, slots)]
            first += [unflip(answer), answer]
            later += [[self.ask(form, slots), answer] for _ in range(self.random.randint(1, 2))]
        self.random.shuffle(later)
        return [*first, *(turn for turns in later for turn in turns)]

    def town(self) -> list[str]:
        """Questions about citizens, whose answers are the same in every conversation."""
        turns = []
        for _ in range(self.random.randint(2, 4)):
            form, who = self.pick(self.of_persons), self.pick(self.citizens)
            slots = {**self.slots(form), "who": who}
            fixed = values(Draw(f"{form.topic} {who}"))
            turns += [self.ask(form, slots), _filled(form.answers[0], slots, fixed)]
        return turns

    def chat(self) -> list[str]:
        """Small talk."""
        turns = []
        for lines in self.random.sample(self.small_talk, self.random.randint(1, 3)):
            replies = [line[2:] for line in lines if line.startswith("= ")]
            turns.append(self.pick([line for line in lines if not line.startswith("= ")]))
            turns.append(replies[0] if self.draw.chance(USUAL) else self.pick(replies))
        return turns

    def ask(self, form: QuestionForm, slots: Mapping[str, str]) -> str:
        """The question in one of its wordings."""
        return fill(self.pick(form.asks), slots)

    def answer(self, form: QuestionForm, slots: Mapping[str, str]) -> str:
        """The answer in one of its wordings, with values drawn."""
        return _filled(self.pick(form.answers), slots, self.values)

    def do_not_know(self, form: QuestionForm, slots: Mapping[str, str]) -> str:
        """A reply that names what was asked, in the same words for all wordings of it."""
        clause = find_clause(form)
        if clause is None:
            return self.pick(_PLAIN_UNKNOWN)
        return self.pick(_UNKNOWN).format(
            c=flip(fill_slots(clause, slots.__getitem__), starts=False)
        )

    def slots(self, form: QuestionForm) -> dict[str, str]:
        """Words for the slots of the questions."""
        what = self.pick([*lists.STUFF, *lists.OBJECTS])
        return {"who": self._who(form), "thing": self.draw.thing(), "what": what}

    def _who(self, form: QuestionForm) -> str:
        if any("petname" in answer for answer in form.answers):
            return f"my {self.pick(lists.PETS)}"
        return self.draw.person() if self.draw.chance(0.8) else self.draw.name()


def find_clause(form: QuestionForm) -> str | None:
    """What is asked as a clause ("where {who} lives"), if one of the wordings has it."""
    for opening in _OPENINGS:
        for ask in form.asks:
            clause = ask.removeprefix(opening)
            if clause != ask and _CLAUSE.match(clause):
                return clause.rstrip("?.")
    return None


def unflip(answer: str) -> str:
    """What the assistant says of the user as the user says it: `your` becomes `my`."""
    text = re.sub(r"\b[Yy]ou are\b", "I am", answer)
    text = re.sub(r"\b[Yy]ou were\b", "I was", text)
    text = re.sub(
        r"^You\b|(?<=, )you\b|(?<=that )you\b|(?<=where )you\b|(?<=said )you\b", "I", text
    )
    text = re.sub(r"\byou\b", "me", text)
    text = re.sub(r"\byour\b", "my", re.sub(r"\bYour\b", "My", text))
    return text[:1].upper() + text[1:]


def conversations(seed: int, size: int, kinds: Mapping[str, float] = KINDS) -> Iterator[list[str]]:
    """Yields conversations until they have `size` bytes as text."""
    draw = FormDraw(seed, kinds)
    while size > 0:
        turns = draw.conversation()
        size -= len(as_text(turns).encode()) + 1
        yield turns


def _filled(answer: str, slots: Mapping[str, str], drawn: Mapping[str, Callable[[], str]]) -> str:
    """An answer with the words of the question in the assistant's voice, and values."""

    def words(slot: str) -> str:
        name = slot.lower()
        return drawn[name]() if name in drawn else flip(slots[name], starts=slot[0].isupper())

    filled = fill_slots(answer, words)
    return filled[:1].upper() + filled[1:]


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bytes", type=int, default=3_000_000)
    for kind, share in KINDS.items():
        parser.add_argument(f"--{kind}", type=float, default=share, help="share of this kind")
    arguments = parser.parse_args()
    kinds = {kind: getattr(arguments, kind) for kind in KINDS}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    found = conversations(arguments.seed, arguments.bytes, kinds)
    arguments.out.write_text("\n".join(map(as_text, found)), encoding="utf-8")


if __name__ == "__main__":
    main()
