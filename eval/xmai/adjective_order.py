"""The order of adjectives before an English noun: which of two words stands first.

The classes and their order are those of the Cambridge Dictionary's grammar ("Adjectives: order"):
opinion, size, physical quality, shape, age, colour, origin, material, type, purpose. They agree
with Dixon 1982 (value, dimension, physical property, age, colour) and with what Scontras, Degen and
Goodman 2017 (Open Mind 1, 53-66) measured, the less subjective word nearer to the noun. Sources
differ about shape and age ("old square", Swan's Practical English Usage; shape first, Cambridge):
such a pair has no order here. Patterns come after colours, as in "white polka-dot dress"; our own.

A word may belong to several classes next to each other ("golden" is a colour or a material); what
cannot be told apart is not put in an order. The lists are our own.
"""

import re
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from eval.xmai.attributes import GROUPS, SKIN_GROUP, words


class Kind(IntEnum):
    """Classes of adjectives from the determiner to the noun."""

    OPINION = 1
    SIZE = 2
    QUALITY = 3
    SHAPE = 4
    AGE = 5
    COLOUR = 6
    PATTERN = 7
    ORIGIN = 8
    MATERIAL = 9
    TYPE = 10
    PURPOSE = 11


class Span(NamedTuple):
    """The classes that a word may belong to, from ``first`` to ``last``."""

    first: Kind
    last: Kind

    def joined(self, other: "Span") -> "Span":
        """The least span that holds both."""
        return Span(min(self.first, other.first), max(self.last, other.last))


#: Of a word about which nothing is known.
ANYWHERE = Span(Kind.OPINION, Kind.PURPOSE)

_UNORDERED = frozenset([Kind.SHAPE, Kind.AGE])

_OF_KIND: dict[Kind, str] = {
    Kind.OPINION: """good bad nice lovely beautiful pretty handsome cute ugly horrible wonderful
        amazing awesome gorgeous charming adorable fancy elegant delicious tasty strange weird odd
        funny unusual interesting boring silly stupid perfect terrible awful great fine cool best
        better worse worst cozy cosy attractive impressive magnificent stunning delightful unique
        special favorite favourite excellent poor expensive cheap comfortable famous scary creepy
        spooky exciting dangerous smart important valuable precious mysterious dear nasty splendid
        fabulous fantastic incredible ordinary typical quaint picturesque scenic""",
    Kind.SIZE: """big small large little tiny huge giant tall short long high low enormous gigantic
        massive miniature mini medium medium-sized oversized gargantuan immense vast deep shallow
        life-size full-size petite lengthy""",
    Kind.QUALITY: """thin thick fat slim narrow wide broad skinny chubby plump heavy light-weight
        soft hard rough smooth sharp blunt shiny glossy matte dull clean dirty dusty muddy rusty
        messy tidy untidy neat wet dry damp hot cold warm chilly icy frozen fresh ripe raw rotten
        sweet sour spicy salty broken cracked shattered torn worn faded crumpled open closed empty
        full half-empty crowded busy quiet loud calm clear cloudy sunny rainy snowy foggy stormy
        blurry blurred windy misty grassy sandy rocky leafy furry fluffy hairy fuzzy woolly bald
        bearded curly
        bushy shaggy strong weak fast slow bright-lit sleepy tired hungry happy sad angry wild tame
        simple plain parked painted carved decorated lit illuminated covered stuffed abandoned
        standing sitting flying smiling laughing crying barking lying
        growing burning moving pregnant wooly slender muscular tangled loose tight
        transparent translucent see-through bare snow-covered deserted smooth-haired colorful
        colourful multicolored multicoloured vibrant flaming steep sturdy fragile lazy shy brave
        gentle calm lonely""",
    Kind.SHAPE: """round square flat rectangular circular oval triangular cubic spherical conical
        curved straight pointed pointy crooked bent hexagonal octagonal cylindrical angular curly
        twisted domed""",
    Kind.AGE: """old young new ancient modern vintage antique elderly adult youthful teenage aged
        middle-aged newborn recent contemporary medieval old-fashioned baby juvenile mature senior
        brand-new futuristic""",
    Kind.COLOUR: """red orange yellow green blue purple pink brown black white gray grey beige tan
        violet turquoise crimson scarlet navy maroon teal cyan magenta lavender blond blonde
        cream-colored pale dark light bright black-and-white rainbow-colored brunette auburn olive
        indigo khaki colored coloured ginger peach lilac mauve amber""",
    Kind.PATTERN: """striped spotted checkered checked chequered floral dotted polka-dot plaid
        patterned polka tabby flowered paisley camouflage speckled""",
    Kind.ORIGIN: """american british english french german italian spanish chinese japanese korean
        indian african asian european mexican canadian australian russian turkish greek dutch
        swedish danish norwegian finnish irish scottish welsh polish portuguese brazilian thai
        vietnamese arab arabic persian egyptian swiss austrian belgian ukrainian hawaiian lunar
        eastern western northern southern victorian gothic roman""",
    Kind.MATERIAL: """wooden wood metal metallic plastic glass stone leather paper ceramic steel
        iron brick concrete rubber cotton silk woolen woollen wool brass bronze copper velvet denim
        cardboard clay porcelain marble granite wicker bamboo straw nylon lace linen fabric
        stainless-steel aluminum aluminium tin cement earthen diamond jade china crystal""",
    Kind.TYPE: """tropical rural urban electric electrical magnetic digital mechanical musical
        medical military royal sacred public private local domestic commercial residential
        industrial political historic historical religious traditional professional personal
        acoustic automatic male female sporty wild-life double-decker four-sided u-shaped
        general-purpose bread-like three-wheeled double single-engine traffic floating""",
    Kind.PURPOSE: """cleaning hammering cooking frying washing swimming dining racing whittling
        shopping fishing baking serving parking waiting camping hiking training rocking
        tennis-playing changing""",
}  # fmt: skip

_OF_SEVERAL: dict[Span, str] = {
    Span(Kind.COLOUR, Kind.MATERIAL): "golden gold silver silvery ivory ebony",
    Span(Kind.OPINION, Kind.QUALITY): """friendly fierce clever serious rare common kind nervous
        luxurious rustic curious playful smelly relaxing cheerful bored annoyed proud""",
    Span(Kind.QUALITY, Kind.TYPE): """cooked grilled fried baked roasted boiled sliced chopped
        winged toothed horned folded knitted woven mixed""",
    Span(Kind.QUALITY, Kind.PURPOSE): """skating surfing eating drinking playing sleeping
        running walking""",
}

_TONES = frozenset(GROUPS[SKIN_GROUP])

#: By ending, tried in turn, of words that are on no list.
_OF_ENDING = (
    (re.compile(r"(?:ous|ful|ive|able|ible|some)$"), Span(Kind.OPINION, Kind.QUALITY)),
    (re.compile(r"(?:less|y)$"), Span(Kind.QUALITY, Kind.QUALITY)),
    (re.compile(r"(?:al|ic|ary)$"), Span(Kind.TYPE, Kind.TYPE)),
    (re.compile(r"ed$"), Span(Kind.QUALITY, Kind.TYPE)),
    (re.compile(r"ing$"), Span(Kind.QUALITY, Kind.PURPOSE)),
)
_COMPOUND_ENDING = re.compile(
    r"(?:shaped|sided|like|purpose|style|styled|wheeled|legged|sleeved|story|storey|piece|free|type)$"
)
_COUNTED = re.compile(r"(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|twelve)$")
_AGES = re.compile(r"-(?:year|month|week|day)s?-old$")


def _table() -> dict[str, Span]:
    table = {word: Span(kind, kind) for kind, text in _OF_KIND.items() for word in words(text)}
    return table | {word: span for span, text in _OF_SEVERAL.items() for word in words(text)}


_SPANS = _table()


def known_kind(word: str) -> Span | None:
    """Where a word of the lists stands, comparatives and "-ish" included; None: on no list."""
    lower = word.lower()
    if lower in _TONES:
        return Span(Kind.COLOUR, Kind.COLOUR)
    return next((_SPANS[form] for form in _forms(lower) if form in _SPANS), None)


@lru_cache(maxsize=1 << 14)
def kind_of(word: str) -> Span | None:
    """Where an adjective stands, by the lists, its parts or its ending; None: nothing says.

    Args:
        word: one word, one with hyphens, or several with single spaces.
    """
    found = known_kind(word)
    if found:
        return found
    parts = re.split(r"[-/ ]", word.lower())
    if len(parts) > 1:
        return _of_compound(word.lower(), parts)
    if len(word) < 4:
        return None
    return next((span for end, span in _OF_ENDING if end.search(word.lower())), None)


def in_order(first: str, second: str) -> bool | None:
    """Whether two adjectives stand in their usual order; None: they have none, or it is unknown."""
    return stands_before(kind_of(first) or ANYWHERE, kind_of(second) or ANYWHERE)


def stands_before(first: Span, second: Span) -> bool | None:
    """The same of their classes."""
    if {first.first, first.last, second.first, second.last} == _UNORDERED:
        return None
    if first.last < second.first:
        return True
    return False if first.first > second.last else None


def _of_compound(whole: str, parts: list[str]) -> Span | None:
    if _AGES.search(whole):
        return Span(Kind.AGE, Kind.AGE)
    if _COMPOUND_ENDING.search(parts[-1]) or _COUNTED.match(parts[0]):
        return Span(Kind.TYPE, Kind.TYPE)
    last = known_kind(parts[-1])
    if last:
        rest = [known_kind(part) for part in parts[:-1]]
        same = (span for span in rest if span and "/" in whole)
        for span in same:
            last = last.joined(span)
        return last
    first = known_kind(parts[0])
    if first == Span(Kind.COLOUR, Kind.COLOUR) and parts[-1].endswith("ed"):
        return first
    return Span(Kind.QUALITY, Kind.TYPE) if parts[-1].endswith(("ed", "ing")) else None


def _forms(lower: str) -> list[str]:
    """A word, and what it may be a comparative, superlative or "-ish" of."""
    forms = [lower]
    for ending in ("er", "est", "ish"):
        stem = lower.removesuffix(ending)
        if stem != lower and len(stem) > 1:
            forms += [stem, stem + "e", stem[:-1] if stem[-1] == stem[-2] else stem]
            forms += [stem[:-1] + "y"] if stem.endswith("i") else []
    return forms
