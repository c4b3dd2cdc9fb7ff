"""Generates short conversations in which a thing that was told is asked back in other words.

A kind of fact has statements (in the user's voice), direct questions and noun clauses; the fields
are {s} the subject, {p} its possessive, {v} the value, and for some kinds {w}, {ws}, {t}, {do},
{q}. `flip` turns a statement of the user into an answer. Names and values come from lists and are
partly invented, so that no answer can be known without the conversation.
"""

import random
import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple


def split_words(block: str) -> list[str]:
    return block.split()


def split_list(block: str) -> list[str]:
    return block.replace("\n", "|").split("|")


NAMES = split_words("""Abel Ada Adele Agnes Aisha Alba Albert Aldo Alfred Alice Alma Alois
Amara Amelie Amos Ana Anders Andrea Anja Anna Anton Arlo Arthur Asta Astrid August Aurel
Axel Balthasar Barbara Bastian Beata Beatrice Bela Benedikt Benno Berta Bianca Birgit Bjorn
Bo Boris Brigitte Bruno Camille Carla Carlos Caspar Cecilia Celia Chiara Clara Claude
Clemens Colette Conrad Cora Cosima Cyril Dagmar Dalia Damian Dana Daphne Dario David Delia
Dennis Diana Dina Dmitri Dora Doris Edda Edgar Edith Edmund Edwin Eileen Elena Eli Elias
Elisa Ella Elmar Elsa Elvira Emil Emma Enid Enzo Erik Erika Erna Ernest Esther Etta Eva
Evelyn Ezra Fabian Fatima Felix Ferdinand Fiona Flora Florian Frances Frank Franz Freya
Frida Fritz Gabriel Georg Gerda Gideon Gina Gisela Giulia Gloria Greta Grace Gunnar Gustav
Hanna Hannes Harold Harriet Hassan Hector Heidi Helena Helmut Henrik Herbert Hilda Holger
Horst Hubert Hugo Ibrahim Ida Ignaz Igor Ilse Imke Ines Inga Ingmar Irene Iris Irma Isaac
Isabel Ivan Ivo Ivy Jakob Jana Janis Jasper Jens Joan Joel Johanna Jonas Jorge Josef Judith
Julia Julius June Juri Kai Karim Karin Karl Katja Kerstin Kilian Klara Klaus Knut Konrad
Kurt Lara Lars Laura Lea Leila Lena Leo Leonie Lidia Lili Lina Linus Lisa Livia Lorenz Lotte
Louis Lucia Ludwig Luis Luka Lukas Luna Lydia Mabel Magda Magnus Maja Malik Mara Marcel
Margot Maria Marius Marlene Marta Martin Mathilda Maud Max Maya Melina Mia Milan Milo Mina
Mira Miriam Mona Morris Moritz Nadia Nana Natan Nele Nell Nico Nils Nina Noah Nora Norbert
Odette Ole Olga Oliver Oona Oscar Oskar Otis Otto Paolo Pascal Paul Paula Pavel Peer Percy
Petra Philip Pia Piet Quentin Rachel Rafael Ralf Ramon Ravi Rebecca Regina Remo Renata Rita
Robert Roland Roman Ronja Rosa Ruben Rufus Runa Ruth Sabine Salim Samir Samuel Sandra Sara
Selma Sigrid Silas Silvia Simon Sina Sofia Stella Sven Sybil Tamara Tara Tessa Theo Theresa
Tilda Till Tim Tina Tobias Tom Toni Ulla Ulrich Una Ursula Uwe Valentin Vera Verena Victor
Vincent Viola Walter Wanda Wendel Wilma Winfried Xaver Yara Yusuf Zelda Zita Zoe""")
PET_NAMES = split_words("""Bello Biscuit Blaze Bramble Bruno Button Caramel Chestnut Cinder
Clover Coco Comet Cookie Dusty Ember Feather Fern Fidget Flash Fluff Gizmo Ginger Hazel
Honey Jumper Kiwi Lady Lucky Maple Marble Midnight Minka Misty Mocha Moss Muffin Nero Nutmeg
Olive Oreo Patch Peanut Pebble Pepper Pickle Pixel Pluto Poppy Princess Pumpkin Rascal
Rocket Rusty Scout Shadow Smoky Snowball Socks Sparky Spot Sunny Teddy Tiger Timber Toffee
Truffle Turbo Velvet Whisker Willow Ziggy""")
TOWNS = split_words("""Aachen Aarhus Arles Athens Augsburg Basel Bath Bergen Berlin Berne
Bilbao Bologna Bonn Bordeaux Boston Bremen Bristol Bruges Brno Cairo Calais Cardiff Cologne
Como Cork Cracow Dakar Delft Denver Derby Dover Dresden Dublin Durham Eger Essen Exeter Faro
Florence Geneva Genoa Ghent Glasgow Graz Halle Hamburg Hanoi Helsinki Hull Innsbruck Jena
Kassel Kiel Kyoto Lausanne Leeds Leiden Leipzig Leon Lille Lima Lincoln Linz Lisbon London
Lucerne Lugano Lund Lyon Madrid Mainz Malaga Malmo Mantua Marburg Milan Minsk Munich Nantes
Naples Narvik Nice Odessa Oslo Oxford Padua Paris Parma Pisa Porto Potsdam Prague Quito
Reims Riga Rome Rostock Rouen Salzburg Seville Siena Sofia Sparta Split Tallinn Toledo Trier
Trieste Tromso Turin Ulm Utrecht Valencia Venice Verona Vienna Vilnius Warsaw Weimar Wells
York Zagreb Zurich""")
RELATIONS = split_words("""aunt uncle mother father sister brother cousin niece nephew
grandmother grandfather daughter son wife husband neighbour teacher boss doctor dentist
tutor landlord landlady gardener barber tailor colleague godfather godmother stepmother
stepfather flatmate penfriend trainer lawyer butcher grocer plumber secretary apprentice
partner roommate coach accountant assistant""")
PETS = split_words("""dog cat horse pony parrot canary rabbit hamster goldfish tortoise
donkey goat hen cow guinea-pig ferret mouse duck goose lizard""")
OBJECTS = split_words("""bicycle coat umbrella car kettle lamp sofa scarf hat bag suitcase tent
boat canoe piano guitar violin drum wardrobe table chair desk carpet curtain door gate fence
roof garage shed mug teapot plate bowl blanket pillow towel jacket jumper shirt tie belt
wallet purse notebook folder diary pen telephone radio clock watch mirror vase ladder
toolbox wheelbarrow sledge kite skateboard helmet raincoat rucksack trunk van tractor
caravan lorry motorbike bathtub bucket broom toothbrush pencil-case lunchbox letterbox
bookcase armchair bench swing hammock greenhouse kayak surfboard""")
KEPT = """passport|spare key|house key|car key|hammer|drill|torch|sewing kit|first-aid box|compass
chess set|camera|charger|birth certificate|cheque book|address book|cookbook|screwdriver|flute|map
tape measure|wedding ring|pocket knife|magnifying glass|thermometer|bread knife|corkscrew
scissors box
stamp album|insurance letter|library card|tin opener|paint box|glue|ticket|dictionary|photo album
savings book|fishing rod|tennis racket|swimming ring|bicycle pump|rent contract|vaccination card"""
SITES = """office|school|dentist's|workshop|choir room|studio|bank|gym|allotment|garden|café
practice
bus stop|parking place|storeroom|locker|favourite bench|club house|laundry|hairdresser's|bakery
market|library|post office|chemist's|town hall|swimming pool|station|cinema|museum|flower shop
bookshop|football ground|night school|court|hospital|harbour|theatre|kindergarten|tax office"""
SPOTS = """church|old mill|town hall|station|river|bridge|park|baker's|school|fountain|market hall
post office|harbour|brewery|cemetery|castle|museum|petrol station|fire station|cinema|water tower
football ground|hotel|library|lighthouse|monastery|swimming pool|tram depot|sawmill|vineyard"""
HOLDERS = """drawer|box|cupboard|basket|jar|chest|suitcase|bag|tin|envelope|cabinet|bucket|trunk
folder|wardrobe|sewing box|bread bin|bookcase|locker|desk"""
ROOMS = """kitchen|cellar|attic|hall|garage|bathroom|bedroom|study|shed|pantry|living room|workshop
nursery|office|laundry room|conservatory|guest room|porch"""
COLOURS = split_words("""red blue green yellow black white grey brown orange purple pink violet
turquoise beige silver gold cream crimson scarlet maroon navy olive teal lilac mauve ivory
amber bronze copper emerald indigo khaki lavender lemon mint mustard peach plum ruby rust
salmon sand sapphire tan charcoal cherry coral magenta ochre""")
SHADES = ["", "", "", "light ", "dark ", "pale ", "bright "]
ADJECTIVES = split_words("""old new big little second tall broken heavy wooden plastic round long
square spare cheap borrowed best first""")
TIMED = """baker:open:opens|baker:close:closes|library:open:opens|library:close:closes
chemist:open:opens|museum:close:closes|bank:open:opens|swimming pool:open:opens
my train:leave:leaves
my train:arrive:arrives|my bus:leave:leaves|my lesson:begin:begins|my lesson:end:ends
my shift:start:starts|my shift:end:ends|the meeting:begin:begins|the concert:start:starts
the film:begin:begins|the ferry:leave:leaves|the last tram:leave:leaves|my plane:land:lands
my son:get up:gets up|my daughter:come home:comes home|my husband:finish work:finishes work
my wife:leave the house:leaves the house|the postman:come:comes|the market:open:opens
the school:start:starts|the bar:close:closes|the gym:open:opens|the choir:meet:meets
my mother:go to bed:goes to bed|my class:finish:finishes|the play:begin:begins|the shop:shut:shuts
the canteen:open:opens|the sauna:close:closes|the night nurse:arrive:arrives"""
DAYED = """my choir:meet:meets|the market:take place:takes place|the cleaner:come:comes
the rubbish van:come:comes|my chess club:meet:meets|the baker:stay shut:stays shut
my piano lesson:take place:takes place|my aunt:visit us:visits us|the gardener:come:comes
my brother:play football:plays football|the library:stay open late:stays open late
my yoga class:meet:meets|the fish van:stop here:stops here|my book club:meet:meets
my sister:work at home:works at home|the band:rehearse:rehearses|my father:go fishing:goes fishing
the team meeting:take place:takes place|my daughter:dance:dances|the plumber:come:comes"""
COUNTED = """sheep|hens|books|cousins|children|cows|bicycles|apple trees|guitars|stamps
umbrellas|hats
goats|rooms|watches|plants|cups|pairs of shoes|brothers|sisters|grandchildren|beehives|boats|clocks
pupils|rabbits|dolls|coins|cameras|keys|chairs|records|cats|windows|notebooks|medals|knives
teapots"""
NUMBERED = """locker|room|bus|house|seat|flat|parking place|post box|tram|platform|table|ticket|desk
bank box|hotel room|customer card|membership|order|mooring|garden plot"""
JOBS = split_words("""accountant actor archaeologist architect astronomer baker barber
beekeeper biologist blacksmith bookbinder bookseller botanist bricklayer builder butcher
captain carpenter chemist chimney-sweep clerk cobbler conductor cook cooper dancer decorator
dentist designer diver doctor dressmaker driver editor electrician engineer farmer farrier
firefighter fisherman florist forester gardener geologist glazier goldsmith guard guide
hairdresser harbour-master hunter innkeeper interpreter jeweller joiner journalist judge
juggler lawyer lecturer librarian locksmith lorry-driver magician mason mathematician
mechanic midwife miller miner musician nurse optician painter pastry-cook pharmacist
philosopher photographer physicist pilot plumber poet policeman porter postman potter
printer programmer publisher roofer saddler sailor scientist sculptor secretary shepherd
singer smith soldier spy stonemason surgeon surveyor tailor tanner teacher tiler translator
typist umpire undertaker vet violinist waiter watchmaker weaver welder winegrower writer
zoologist""")
STUFF = split_words("""leek carrot onion tomato mushroom pumpkin potato spinach bean lentil
pea beetroot celery cabbage chestnut asparagus fennel garlic lemon apple pear cherry plum
apricot peach fig date quince raspberry blackberry strawberry blueberry gooseberry walnut
almond hazelnut honey ginger cinnamon vanilla poppy-seed sesame rhubarb orange lime mango
banana coconut pistachio melon grape elderflower mint rose chocolate coffee caramel cheese
egg ham fish chicken salmon trout duck""")
DISHES = split_words("soup:soup cake:cake pie:pie jam:jam salad:salad tea:tea ice-cream:ice-cream")
FAVOURITES = {
    "fruit": "apple pear cherry plum apricot peach fig quince mango melon lychee papaya lime",
    "colour": "*colour",
    "season": "spring summer autumn winter",
    "day of the week": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "animal": "otter hedgehog badger whale fox squirrel lynx seal heron elk ibex beaver swan crow",
    "instrument": "cello flute oboe harp organ banjo lute trumpet zither clarinet bassoon trombone",
    "sport": "tennis rowing fencing judo hockey chess cricket golf curling sailing boxing archery",
    "flower": "tulip dahlia poppy lilac peony iris aster violet daisy orchid crocus marigold lupin",
    "tree": "oak birch beech larch maple alder yew ash willow cedar poplar linden hornbeam rowan",
    "town": "*town",
    "first name": "*name",
    "spice": "pepper saffron cumin nutmeg cloves paprika thyme oregano cardamom turmeric anise",
    "subject at school": "history biology music physics geography latin drawing chemistry maths",
    "game": "draughts dominoes whist poker backgammon rummy marbles skittles ludo charades bridge",
    "bread": "rye-bread flatbread baguette pumpernickel ciabatta cornbread spelt-bread brioche",
    "bird": "robin wren finch thrush starling swift kestrel magpie raven nightingale lark stork",
    "drink": "cocoa lemonade cider buttermilk espresso cola milk lassi punch horchata kefir",
}
WITH_THE = ["animal", "instrument", "flower", "tree", "bird"]
GOODS = """silver ring|bag of nails|love letter|ball of wool|rusty key|pack of cards
wooden spoon|map
pair of gloves|dead battery|gold coin|photograph|music box|bunch of candles|bar of soap|toy train
medal|set of dice|bottle of ink|pocket watch|feather|bag of seeds|string of pearls|mouth organ
roll of tape|stamp album|pair of scissors|glass eye|tuning fork|piece of chalk|compass|chess piece
fishing hook|jar of buttons|bundle of letters|thimble|whistle|magnet|postcard|candlestick|recipe"""
MATERIALS = """oak|pine|steel|leather|wool|cotton|silk|linen|bamboo|glass|copper|clay|felt|plastic
aluminium|rubber|canvas|cork|tin|walnut|marble|brass|paper|velvet|iron|straw|porcelain|denim
stone"""
EVENTS = """I was late:was I late|I sold the car:did I sell the car|I moved house:did I move house
I stayed at home:did I stay at home|I missed the train:did I miss the train
I left the party early:did I leave the party early|I learn Danish:do I learn Danish
I get up at five:do I get up at five|I stopped smoking:did I stop smoking
my sister is angry:is my sister angry|my boss was happy:was my boss happy
the shop is closed:is the shop closed|I bought a ladder:did I buy a ladder
my brother went to Norway:did my brother go to Norway
the concert was cancelled:was the concert cancelled
I am tired:am I tired|I changed my job:did I change my job|I wear two jumpers:do I wear two jumpers
my father sold the boat:did my father sell the boat|the cat hides:does the cat hide
I do not eat nuts:do I not eat nuts|I walk to work:do I walk to work
my aunt is in hospital:is my aunt in hospital|I keep bees:do I keep bees
I cancelled the trip:did I cancel the trip|my neighbour complained:did my neighbour complain
I painted the door:did I paint the door|my son cried:did my son cry
I need a new phone:do I need a new phone|I went to the police:did I go to the police"""
REASONS = """the bridge was closed|the clock had stopped|it rained all day|there was a power cut
the alarm did not ring|the dog was ill|there was ice on the road|somebody lost the key
the roof was leaking|it was much too loud|the doctor said so|the money ran out
a friend asked for it|the heating broke down|the neighbours complained|there was a strike
the price went up|a pipe burst|the letter came too late|it is good for the heart
the children wanted it|a storm was coming|the wind broke a window|the lift was out of order
a tree fell on the line|the old one was worn out|it saves a lot of time|the water was cold
the bus broke down|the contract ended|a thief was about|there was a wedding|the oven caught fire
a wasp was in the room|the cake was burnt|it was a holiday|the tickets were sold out
a tooth hurt|the bag was stolen|the snow was too deep|the rent was too high"""
YOUNG = ["son", "daughter", "niece", "nephew", "cousin", "brother", "sister"]
DAYS = split_words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = split_words("""January February March April May June July August September October
November December""")
HOURS = split_words("one two three four five six seven eight nine ten eleven twelve")
TEENS = split_words("""thirteen fourteen fifteen sixteen seventeen eighteen nineteen""")
TENS = split_words("twenty thirty forty fifty sixty seventy eighty ninety")


STARTS = split_words("B D F G H J K L M N P R S T V Z Br Dr Kr Tr Sh")
TOWN_ENDS = split_words("ton field bury burg ham by ford stad dorf mouth wick haven")
STREETS = split_words("Street Road Lane Square Alley")
BESIDE = split_list("behind|next to|opposite|near|in front of|left of|above")
PARTS = split_list("||half past |a quarter past |a quarter to |ten past |twenty to ")


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
            "site": lambda: {"s": f"my {self.pick(split_list(SITES))}", "v": self.beside()},
            "kept": lambda: {"s": self._owned(self.pick(split_list(KEPT))), "v": self.inside()},
            "time": lambda: self._happens(TIMED, f"at {self.pick(PARTS)}{self.pick(HOURS)}"),
            "day": lambda: self._happens(DAYED, f"on {self.pick(DAYS)}"),
            "birthday": lambda: {
                "s": self.person(),
                "v": f"the {self.random.randint(4, 20)}th of {self.pick(MONTHS)}",
            },
            "colour": lambda: {"s": self.thing(), "v": self.pick(SHADES) + self.pick(COLOURS)},
            "count": self._count,
            "number": lambda: {
                "s": self._owned(self.pick(split_list(NUMBERED))),
                "v": str(self.random.randint(2, 2999)),
            },
            "job": lambda: {"s": self.person(), "v": with_article(self.pick(JOBS))},
            "favourite": self._favourite,
            "owner": lambda: {"s": f"the {self._described()}", "v": self._somebody()},
            "giver": lambda: {"s": self.thing(), "v": self._somebody()},
            "age": self._age,
            "reason": self._reason,
            "content": self._content,
            "material": lambda: {"s": self.thing(), "v": self.pick(split_list(MATERIALS))},
        }

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def name(self, names: list[str] = NAMES) -> str:
        if self.chance(0.7):
            return self.pick(names)
        rest = [
            self.pick("bdfgklmnprstvz") + self.pick("aeiou") for _ in range(self.pick([1, 1, 2]))
        ]
        return "".join([self.pick(STARTS), self.pick("aeiou"), *rest, self.pick(["", "", *"nslr"])])

    def town(self) -> str:
        return self.pick(TOWNS) if self.chance(0.6) else self.name() + self.pick(TOWN_ENDS)

    def person(self) -> str:
        first = self.pick(RELATIONS)
        return f"my {first}'s {self.pick(RELATIONS[:19])}" if self.chance(0.15) else f"my {first}"

    def thing(self) -> str:
        return self._owned(self.pick(OBJECTS) if self.chance(0.7) else self._described())

    def _owned(self, noun: str) -> str:
        return f"my {self.pick(RELATIONS)}'s {noun}" if self.chance(0.3) else f"my {noun}"

    def _described(self) -> str:
        return f"{self.pick(ADJECTIVES)} {self.pick(OBJECTS)}"

    def _somebody(self) -> str:
        return self.name() if self.chance(0.6) else self.person()

    def _name(self) -> dict[str, str]:
        if self.chance(0.65):
            return {"s": self.person(), "v": self.name()}
        return {"s": self._owned(self.pick(PETS)), "v": self.name(PET_NAMES)}

    def _age(self) -> dict[str, str]:
        if self.chance(0.3):
            return {"s": self._owned(self.pick(PETS)), "v": self._number_word(1, 20)}
        person = self.person()
        youngest, oldest = (1, 35) if person.split()[-1] in YOUNG else (24, 99)
        return {"s": person, "v": self._number_word(youngest, oldest)}

    def beside(self) -> str:
        if self.chance(0.3):
            return f"in {self.name()} {self.pick(STREETS)}"
        return f"{self.pick(BESIDE)} the {self.pick(split_list(SPOTS))}"

    def inside(self) -> str:
        where = f"the {self.pick(COLOURS)} {self.pick(split_list(HOLDERS))}"
        room = f" in the {self.pick(split_list(ROOMS))}" if self.chance(0.5) else ""
        return f"{self.pick(['in', 'in', 'in', 'under', 'behind', 'on'])} {where}{room}"

    def _happens(self, block: str, value: str) -> dict[str, str]:
        subject, verb, verbs = self.pick(split_list(block)).split(":")
        subject = subject if subject.startswith(("my ", "the ")) else f"the {subject}"
        return {"s": subject, "w": verb, "ws": verbs, "v": value}

    def _number_word(self, least: int, most: int) -> str:
        number = self.random.randint(least, most)
        if number < 20:
            return [*HOURS, *TEENS][number - 1]
        ten = TENS[number // 10 - 2]
        return f"{ten}-{HOURS[number % 10 - 1]}" if number % 10 else ten

    def _count(self) -> dict[str, str]:
        subject = "I" if self.chance(0.3) else self.person()
        has, owns, do = ("have", "own", "do") if subject == "I" else ("has", "owns", "does")
        fields = {
            "s": subject,
            "o": subject.replace("I", "me"),
            "t": self.pick(split_list(COUNTED)),
        }
        return {**fields, "has": has, "owns": owns, "do": do, "v": self._number_word(2, 99)}

    def _favourite(self) -> dict[str, str]:
        subject = "I" if self.chance(0.6) else self.person()
        if self.chance(0.4):
            dish, noun = self.pick(DISHES).split(":")
            value = f"{self.pick(STUFF)} {noun}"
        else:
            dish = self.pick(list(FAVOURITES))
            listed = {"*colour": COLOURS, "*town": TOWNS, "*name": NAMES}
            value = self.pick(listed.get(FAVOURITES[dish]) or split_words(FAVOURITES[dish]))
            value = f"the {value}" if dish in WITH_THE else value
        do, likes = ("do", "like") if subject == "I" else ("does", "likes")
        return {"s": subject, "t": dish, "v": value, "do": do, "likes": likes}

    def _reason(self) -> dict[str, str]:
        event, question = self.pick(split_list(EVENTS)).split(":")
        return {"s": event, "q": question, "v": self.pick(split_list(REASONS))}

    def _content(self) -> dict[str, str]:
        good = with_article(self.pick(split_list(GOODS)))
        return {"s": f"the {self.pick(COLOURS)} {self.pick(split_list(HOLDERS)[:14])}", "v": good}

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
        is_person = near.fields["s"].split()[-1] in RELATIONS and kind != "age"
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
