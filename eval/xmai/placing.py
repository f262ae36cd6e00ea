"""Where a word may be inserted before a noun, and how it is written there.

Nothing in the caption changes besides the insertion: a word that would need another article, that
stands in no known order with the adjectives that are there, that says something of their kind
("large" beside "small"), or that the caption already has, is not inserted.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from data_pipelines.noise.phrases import WORD
from eval.xmai.adjective_order import ANYWHERE, Span, kind_of, known_kind, stands_before
from eval.xmai.articles import fits_article
from eval.xmai.attributes import words
from eval.xmai.letter_case import in_case_of
from eval.xmai.matching import Noun
from eval.xmai.records import Insertion, inserted

#: Before another adjective these would be read as adverbs, or make one word of two.
_READ_AS_ADVERBS = words(
    """pretty dead mighty jolly dark light bright pale deep hot royal baby navy olive lime neon
    clean half real super mid"""
)
_JOINED_TO_NEXT = re.compile(
    r"(?:colou?red|shaped|sized|looking|styled?|themed|made|filled)\b", re.IGNORECASE
)
_STATED = re.compile(
    r"""\s*,?\s*(?:(?:that|which|who)\s+)?
    (?:is|are|was|were|looks?|seems?|appears?|painted|colou?red|dyed|(?:is\s+|are\s+)?made
    (?:\s+out)?(?:\s+(?:of|from))?)\s+((?:[\w'-]+\W{1,2}){0,3}[\w'-]+)""",
    re.IGNORECASE | re.VERBOSE,
)
_SHORTEST_STEM = 3
_LONGEST_ENDING = 3


class Fit(NamedTuple):
    """A word at its place in a sentence.

    Attributes:
        word: in lower case.
        p: see ``eval.xmai.proposals.Proposal``.
        offset: characters of the original before it.
        before: the sentence up to it, with what was inserted earlier.
        after: the rest of the sentence.
    """

    word: str
    p: float
    offset: int
    before: str
    after: str

    @property
    def written(self) -> str:
        """The word in the letter case of its place."""
        return in_case_of(self.word, self.before, self.after)

    @property
    def sentence(self) -> str:
        """All of it."""
        return f"{self.before}{self.written} {self.after}"


class Draft(NamedTuple):
    """A caption of which one noun is next.

    Attributes:
        text: the original.
        insertions: so far, ascending by offset, all before the noun.
        noun: see ``Noun``.
    """

    text: str
    insertions: tuple[Insertion, ...]
    noun: Noun

    def fit(self, word: str, p: float = 0.0) -> Fit | None:
        """The word at its place; None where it has none here."""
        offset = place_of(self.text, self.noun, word)
        if offset is None or self.has(word):
            return None
        before, after = self.split(offset)
        return Fit(word, p, offset, before, after) if fits_article(before, word) else None

    def split(self, offset: int) -> tuple[str, str]:
        """What is before and behind a place of the original, with the insertions."""
        return inserted(self.text[:offset], self.insertions), self.text[offset:]

    def has(self, word: str) -> bool:
        """Whether any part of the word is in the caption, in any form ("wood" in "wooden")."""
        there = [*WORD.findall(self.text), *(one.word for one in self.insertions)]
        known = {part for one in there for part in _parts(one)}
        return any(_is_form(part, other) for part in _parts(word) for other in known)


def place_of(text: str, noun: Noun, word: str) -> int | None:
    """Where in the caption a word goes before a noun; None: there is no right place.

    Before the adjectives that stand nearer to the noun by ``eval.xmai.adjective_order``, behind the
    others, and always before a compound ("police officer").
    """
    own = kind_of(word)
    units = noun.modifiers or ()
    if not units:
        place = noun.offset
    elif own is None:
        return None
    else:
        found = [stands_before(own, unit.span) for unit in units]
        orders = [order for order in found if order is not None]
        if len(orders) < len(found) or orders != sorted(orders):
            return None
        place = units[orders.index(True)].start if True in orders else noun.offset
    if own is not None and _is_stated(text, noun, own):
        return None
    following = text[place : noun.start]
    if following and word.split(" ")[-1] in _READ_AS_ADVERBS and place != noun.offset:
        return None
    return None if _JOINED_TO_NEXT.match(text, place) else place


def _is_stated(text: str, noun: Noun, own: Span) -> bool:
    """Whether the compound or what follows the noun names something of the same kind."""
    inner = text[noun.offset : noun.start]
    behind = _STATED.match(text, noun.end)
    near = WORD.findall(inner) + (WORD.findall(behind.group(1)) if behind else [])
    kinds = [known_kind(one) for one in near]
    return any(kind and kind != ANYWHERE and _meet(kind, own) for kind in kinds)


def _meet(one: Span, other: Span) -> bool:
    return one.first <= other.last and other.first <= one.last


def _parts(word: str) -> Sequence[str]:
    return re.split(r"[-/ '\u2019&.]", word.lower())


def _is_form(one: str, other: str) -> bool:
    """Whether two words are the same but for an ending, or two spellings of "gray"."""
    if one == other:
        return True
    short, long = sorted((one.replace("grey", "gray"), other.replace("grey", "gray")), key=len)
    if short == long:
        return True
    is_longer = len(long) - len(short) <= _LONGEST_ENDING
    return len(short) >= _SHORTEST_STEM and is_longer and long.startswith(short)
