"""What stands between the determiner of a noun and the noun: adjectives, one unit at a time.

A unit is what no word may be put into: "bright red", "three year old", "red and white",
"heart shaped". Who knows what a word is says so (a tagger, or word lists); how words make units
is the same for all.
"""

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from data_pipelines.noise.phrases import CONNECTIVES, DETERMINERS, FUNCTION_WORDS
from eval.xmai.adjective_order import ANYWHERE, Kind, Span, kind_of, known_kind
from eval.xmai.attributes import words

#: What a word does before a noun: "limit" for what adjectives follow (determiners, numerals) and
#: for everything that has no part in the phrase.
Role = Literal["adjective", "adverb", "limit"]

#: The role of the word at characters ``start`` to ``end``.
RoleOf = Callable[[int, int], Role]

#: Numerals and words of order and sameness, which stand before all adjectives.
LIMITING: frozenset[str] = words(
    """one two three four five six seven eight nine ten eleven twelve several many few various
    other others another same such more most less least first second third fourth fifth last next
    only own both all half double single different certain numerous multiple enough extra dozen
    dozens hundred hundreds lots plenty left right upper lower main whole entire"""
)

_TOKEN = re.compile(r"[^\W_]+(?:['\u2019/&.\-][^\W_]+)*|[^\w\s]|_+")
_COLOUR_ADVERBS = words(
    """light dark bright pale deep hot sky navy jet snow lime baby royal forest olive neon pastel
    blood pitch army vivid dusty soft off mint rose burnt metallic brilliant"""
)
_ADVERBS = words(
    "very really quite rather extremely so too fairly somewhat almost nearly super pretty mighty"
)
_WITH_WORD_BEFORE = words("shaped sized looking style styled colored coloured themed made filled")
_UNITS_OF_AGE = words("year years month months week weeks day days yr yrs")
_NO_ADVERBS = words("lovely friendly elderly curly ugly silly woolly early only family italy belly")


class Modifier(NamedTuple):
    """A unit before a noun; ``first`` and ``last`` are the classes that its words may belong to."""

    start: int
    end: int
    first: Kind
    last: Kind

    @property
    def span(self) -> Span:
        """Its classes."""
        return Span(self.first, self.last)


def modifiers_before(text: str, offset: int, role_of: RoleOf) -> tuple[Modifier, ...]:
    """The units right before a noun (or its compound) that begins at ``offset``, left to right."""
    return _Reader(text, offset, role_of).read()


def listed_role(text: str, start: int, end: int) -> Role:
    """By word lists alone."""
    word = text[start:end].lower()
    if word in DETERMINERS or word in LIMITING or word.isdecimal():
        return "limit"
    if known_kind(word) or _is_listed_compound(word):
        return "adjective"
    if word in _ADVERBS or (word.endswith("ly") and len(word) > 4 and word not in _NO_ADVERBS):
        return "adverb"
    return "limit"


def is_limiting(word: str) -> bool:
    """Whether a word in lower case stands before all adjectives, or in no noun phrase."""
    if word in LIMITING or word.isdecimal():
        return True
    may_describe = word.endswith(("ing", "ed")) or known_kind(word) is not None
    return word in FUNCTION_WORDS and not may_describe


def _is_listed_compound(word: str) -> bool:
    return ("-" in word or "/" in word) and kind_of(word) is not None


class _Reader:
    """Reads units from the noun to the left."""

    def __init__(self, text: str, offset: int, role_of: RoleOf) -> None:
        self._text = text
        self._tokens = list(_TOKEN.finditer(text, 0, offset))
        self._role_of = role_of
        self._at = len(self._tokens) - 1

    def read(self) -> tuple[Modifier, ...]:
        """See ``modifiers_before``."""
        units: list[Modifier] = []
        while self._role(self._at) == "adjective":
            unit = self._unit()
            while (link := self._length_of_link()) and self._role(self._at - link) == "adjective":
                self._at -= link
                left = self._unit()
                span = left.span.joined(unit.span)
                unit = Modifier(left.start, unit.end, span.first, span.last)
            units.append(unit)
        return tuple(reversed(units))

    def _unit(self) -> Modifier:
        """An adjective with what belongs to it on its left."""
        last = self._tokens[self._at]
        start, span = last.start(), kind_of(last.group()) or ANYWHERE
        is_colour = span.first <= Kind.COLOUR <= span.last and span != ANYWHERE
        self._at -= 1
        if self._word(last) == "old" and self._is_age():
            self._at -= 2
            start = self._tokens[self._at + 1].start()
        elif self._word(last) in _WITH_WORD_BEFORE and self._is_open():
            before = self._tokens[self._at]
            start, span = before.start(), kind_of(before.group()) or Span(Kind.TYPE, Kind.TYPE)
            self._at -= 1
        while self._at >= 0 and self._belongs(is_colour=is_colour):
            start = self._tokens[self._at].start()
            self._at -= 1
        return Modifier(start, last.end(), span.first, span.last)

    def _belongs(self, *, is_colour: bool) -> bool:
        word = self._word(self._tokens[self._at])
        if word in ("not", "also", "just", "then") or word in CONNECTIVES - {"off"}:
            return False
        is_adverb = word in _ADVERBS or self._role(self._at) == "adverb"
        return is_adverb or (is_colour and word in _COLOUR_ADVERBS)

    def _is_age(self) -> bool:
        if self._at < 1 or self._word(self._tokens[self._at]) not in _UNITS_OF_AGE:
            return False
        number = self._word(self._tokens[self._at - 1])
        return number.isdecimal() or number in LIMITING

    def _is_open(self) -> bool:
        """Whether the word on the left is one that "shaped" or "colored" needs."""
        if self._at < 0:
            return False
        word = self._word(self._tokens[self._at])
        return word[:1].isalpha() and (word == "different" or not is_limiting(word))

    def _length_of_link(self) -> int:
        """Tokens of "and", "," or ", and" that join what is left with what was read; else 0."""
        if self._at < 0:
            return 0
        word = self._word(self._tokens[self._at])
        if word == ",":
            return 1
        if word not in ("and", "or", "&", "/"):
            return 0
        return 2 if self._at and self._word(self._tokens[self._at - 1]) == "," else 1

    def _role(self, at: int) -> Role:
        if at < 0:
            return "limit"
        token = self._tokens[at]
        if not token.group()[0].isalnum():
            return "limit"
        return self._role_of(token.start(), token.end())

    @staticmethod
    def _word(token: re.Match[str]) -> str:
        return token.group().lower()
