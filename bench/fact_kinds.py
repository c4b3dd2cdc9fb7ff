"""How each kind of fact is told, asked and asked about in a clause.

The fields are {s} the subject, {p} its possessive, {v} the value, and for some kinds {w}, {ws},
{t}, {do}, {q}.
"""

from typing import NamedTuple

from bench.word_lists import split_list


class Kind(NamedTuple):
    """How one kind of fact is said and asked."""

    tells: list[str]
    asks: list[str]
    clauses: list[str]


def _kind(tells: str, asks: str, clauses: str) -> Kind:
    return Kind(*map(split_list, (tells, asks, clauses)))


_KEPT_ASKS = """Where do I keep {s}?|Where did I put {s}?|Where is {s}?
In which place do I keep {s}?
Where have I put {s}?|Where should I look for {s}?|{s}, where is it?|What is the place of {s}?
Where does {s} lie?|In what place is {s}?|Where can I find {s}?|Where is {s} kept?"""
_TIMED_CLAUSES = "when {s} {ws}|at what time {s} {ws}|the time when {s} {ws}|what time {s} {ws}"
KINDS = {
    "name": _kind(
        """{p} name is {v}.|{s} is called {v}.|The name of {s} is {v}.|{v} is the name of {s}.
{v} is what {s} is called.|I call {s} {v}.|{s} has the name {v}.|{s} goes by the name of {v}.""",
        """What is {p} name?|What is {s} called?|How is {s} called?|What do I call {s}?
{p} name, please?|What is the name of {s}?|Which name does {s} have?|By what name does {s} go?
What name has {s} got?|{s} is called what?|How do I call {s}?|What was {p} name again?""",
        "what {s} is called|the name of {s}|{p} name|how {s} is called|which name {s} has",
    ),
    "lives": _kind(
        """{s} lives in {v}.|{p} home is in {v}.|The home of {s} is in {v}.|{v} is where {s} lives.
It is {v} where {s} lives.|{p} house is in {v}.""",
        """Where does {s} live?|In which town does {s} live?|Which town does {s} live in?
Where is {p} home?|In what town is {p} house?|Where is the home of {s}?|Where is {s} at home?
Where would I have to go to visit {s}?|What town does {s} live in?|{s} lives where?""",
        "where {s} lives|in which town {s} lives|where {p} home is|the town where {s} lives",
    ),
    "site": _kind(
        """{s} is {v}.|I can find {s} {v}.|The place of {s} is {v}.|It is {v} where {s} is.
{s} can be found {v}.""",
        """Where is {s}?|Where can I find {s}?|In which place is {s}?|Where do I find {s}?
Where exactly is {s}?|Where must I go to get to {s}?|{s}, where is that?|What place is {s} at?
Where does one find {s}?|Where was {s} again?""",
        "where {s} is|where I find {s}|the place where {s} is|where to find {s}|how to find {s}",
    ),
    "kept": _kind(
        """I keep {s} {v}.|{s} is {v}.|{s} lies {v}.|I have put {s} {v}.|I put {s} {v}.
The place of {s} is {v}.|{s} is kept {v}.""",
        _KEPT_ASKS,
        "where I keep {s}|where {s} is|where I put {s}|the place of {s}|where to look for {s}",
    ),
    "time": _kind(
        "{s} {ws} {v}.|It is {v} that {s} {ws}.|{v} is when {s} {ws}.|Every day {s} {ws} {v}.",
        """When does {s} {w}?|At what time does {s} {w}?|What time does {s} {w}?|{s} {ws} when?
At which hour does {s} {w}?|How late is it when {s} {ws}?|When is it that {s} {ws}?
What is the time when {s} {ws}?|What does the clock say when {s} {ws}?|So when does {s} {w}?""",
        _TIMED_CLAUSES,
    ),
    "day": _kind(
        "{s} {ws} {v}.|It is {v} that {s} {ws}.|{v} is when {s} {ws}.|Every week {s} {ws} {v}.",
        """On which day does {s} {w}?|When does {s} {w}?|Which day does {s} {w}?|{s} {ws} when?
What day of the week does {s} {w}?|On what day is it that {s} {ws}?|Which is the day when {s} {ws}?
When in the week does {s} {w}?|What is the day when {s} {ws}?|So on which day does {s} {w}?""",
        "when {s} {ws}|on which day {s} {ws}|the day when {s} {ws}|what day {s} {ws}",
    ),
    "birthday": _kind(
        """{p} birthday is on {v}.|{s} was born on {v}.|{s} has a birthday on {v}.
The birthday of {s} is on {v}.|On {v} {s} has a birthday.""",
        """When is {p} birthday?|When does {s} have a birthday?|On what day was {s} born?
What is the date of {p} birthday?|On which date is {p} birthday?|When was {s} born?
When must I congratulate {s}?|{p} birthday, when is it?|Which day is the birthday of {s}?""",
        "when {p} birthday is|when {s} was born|the date of {p} birthday|the birthday of {s}",
    ),
    "colour": _kind(
        """{s} is {v}.|The colour of {s} is {v}.|{p} colour is {v}.|{v} is the colour of {s}.
{s} has the colour {v}.|{s} is of a {v} colour.""",
        """What colour is {s}?|What is the colour of {s}?|Which colour does {s} have?
Of what colour is {s}?|Which colour is {s}?|{p} colour, please?|What is {p} colour?
What colour has {s} got?|{s} is which colour?|What does {s} look like, what colour?""",
        "what colour {s} is|the colour of {s}|which colour {s} has|{p} colour",
    ),
    "count": _kind(
        """{s} {has} {v} {t}.|{s} {owns} {v} {t}.|The number of {t} that {s} {has} is {v}.
There are {v} {t} that belong to {o}.""",
        """How many {t} {do} {s} have?|How many {t} {do} {s} own?|What is the number of {p} {t}?
{s} {has} how many {t}?|How large is the number of {t} that {s} {has}?|How many are {p} {t}?
How many {t} belong to {o}?|What number of {t} {do} {s} have?|So how many {t} {do} {s} have?""",
        "how many {t} {s} {has}|the number of {p} {t}|how many {t} belong to {o}",
    ),
    "number": _kind(
        """{p} number is {v}.|The number of {s} is {v}.|{s} has the number {v}.
{v} is the number of {s}.|I have {s} with the number {v}.""",
        """What is {p} number?|What is the number of {s}?|Which number does {s} have?
What number is {s}?|{p} number, please?|What number does {s} bear?|Under what number is {s}?
Which is the number of {s}?|What number has {s} got?|What was the number of {s} again?""",
        "the number of {s}|which number {s} has|{p} number|what number {s} has",
    ),
    "job": _kind(
        """{s} is {v}.|{s} works as {v}.|By profession {s} is {v}.|{s} earns money as {v}.
{s} has a job as {v}.|{s} makes a living as {v}.""",
        """What does {s} do for a living?|What is {p} job?|What work does {s} do?
What is {s} by profession?|As what does {s} work?|How does {s} earn money?|What is {p} profession?
What kind of work does {s} do?|What trade does {s} follow?|What does {s} work as?""",
        "what {s} does for a living|what {p} job is|{p} job|what work {s} does|what {s} works as",
    ),
    "favourite": _kind(
        """{p} favourite {t} is {v}.|{v} is {p} favourite {t}.|The {t} that {s} {likes} best is {v}.
{v} is the {t} that {s} {likes} most.|There is no {t} that {s} {likes} more than {v}.""",
        """What is {p} favourite {t}?|Which {t} {do} {s} like best?|What {t} {do} {s} love most?
Which is the {t} that {s} {likes} best?|{p} favourite {t}, please?|Which {t} {do} {s} prefer?
Name {p} favourite {t}.|Which {t} is {p} favourite?|What sort of {t} {do} {s} like most?
Which {t} {do} {s} like more than any other?""",
        """what {p} favourite {t} is|which {t} {s} {likes} best|{p} favourite {t}
what {t} {s} {likes} most""",
    ),
    "owner": _kind(
        """{s} belongs to {v}.|{v} owns {s}.|The owner of {s} is {v}.|{v} is the owner of {s}.
It is {v} who owns {s}.""",
        """Whose is {s}?|Who owns {s}?|To whom does {s} belong?|Who does {s} belong to?
Who is the owner of {s}?|{s}, whose is it?|Who is it that owns {s}?|What is the owner of {s} called?
Which person owns {s}?|{s} belongs to whom?""",
        "who owns {s}|whose {s} is|who the owner of {s} is|to whom {s} belongs|the owner of {s}",
    ),
    "giver": _kind(
        """I got {s} from {v}.|{v} gave me {s}.|{s} was a present from {v}.
It was {v} who gave me {s}.
{s} came from {v}.""",
        """Who gave me {s}?|From whom did I get {s}?|Who did I get {s} from?|Whose present was {s}?
Where did I get {s} from?|Who was it that gave me {s}?|From whom is {s}?|Who is {s} from?
Whom do I have to thank for {s}?|{s} came from whom?""",
        "who gave me {s}|from whom I got {s}|whose present {s} was|who {s} came from",
    ),
    "age": _kind(
        """{s} is {v} years old.|{p} age is {v}.|The age of {s} is {v}.
{s} has reached the age of {v}.
{s} is {v} years of age.|{s} turned {v} this year.""",
        """How old is {s}?|What is {p} age?|What age is {s}?|How many years old is {s}?
What is the age of {s}?|{p} age, please?|How many years has {s} lived?|{s} is how old?
How old has {s} become?|What age has {s} reached?""",
        "how old {s} is|{p} age|the age of {s}|what age {s} is",
    ),
    "reason": _kind(
        "{s} because {v}.|The reason why {s} is that {v}.|Because {v}, {s}.|{s}, for {v}.",
        """Why {q}?|For what reason {q}?|How come {s}?|What is the reason why {s}?
Why is it that {s}?|What is the cause that {s}?|{s}, but why?|Because of what {q}?
What is the explanation that {s}?|{s}, what is the reason?""",
        "why {s}|the reason why {s}|for what reason {s}",
    ),
    "content": _kind(
        """In {s} there is {v}.|There is {v} in {s}.|{s} contains {v}.|I keep {v} in {s}.
{s} holds {v}.|I put {v} into {s}.""",
        """What is in {s}?|What does {s} contain?|What do I keep in {s}?|What did I put into {s}?
What is inside {s}?|What lies in {s}?|What would I find in {s}?|What does {s} hold?
{s}, what is in it?|Which thing is in {s}?""",
        "what is in {s}|what {s} contains|what I keep in {s}|the thing that is in {s}",
    ),
    "material": _kind(
        """{s} is made of {v}.|The material of {s} is {v}.|{v} is what {s} is made of.
{s} consists of {v}.""",
        """What is {s} made of?|Of what is {s} made?|What material is {s} made of?
Which material is {s}?|What does {s} consist of?|Out of what is {s} made?|{s} is made of what?
What is the material of {s}?|From which material is {s} made?|What stuff is {s} of?""",
        "what {s} is made of|the material of {s}|of what {s} is made",
    ),
}
WRAPPERS = """Do you know {c}?|Can you tell me {c}?|Tell me {c}.|Please tell me {c}.
Can you remember {c}?
Do you remember {c}?|Do you still know {c}?|I forgot {c}.|I have forgotten {c}.
Could you tell me {c}?
I would like to know {c}.|Tell me again {c}.|Will you tell me {c}?|I want to know {c}.|You know {c}?
I cannot remember {c}.|Say {c}.|Tell me once more {c}.|Please say again {c}.|Let me hear {c}."""
OPENERS = [
    "And {q}",
    "So {q}",
    "By the way, {q}",
    "Once more: {q}",
    "Now {q}",
    "Hm, {q}",
    "Well, {q}",
]
ANNOUNCED = (
    """|||||Remember: |Note this: |You should know: |By the way: |Listen: |Please remember: """
)
THANKS = """I will remember that.|Good, I know that now.|Thank you for telling me.|I see.|Noted.
I shall not forget it.|All right.|I have learned that."""
UNKNOWN = """You have not told me that.|You have not told me {c}.|I do not know {c}.
I do not know that yet.
That I do not know; you have not told me.|You never told me {c}.|Nobody has told me {c}.
I cannot know {c}: you have not said it.|I have not learned that yet.|You have not said {c}.
I do not know. You have not told me {c}.|That you have not told me yet."""
