"""Names, things, places and values that generated conversations are about."""


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
