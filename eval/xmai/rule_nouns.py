"""Nouns of captions by closed word classes and lists of adjectives; no model, English only."""

from collections.abc import Sequence

from data_pipelines.noise.phrases import WORD, rule_phrases
from eval.xmai.adjective_order import known_kind
from eval.xmai.matching import Noun, Nouns, noun_finders
from eval.xmai.modifiers import Role, is_limiting, listed_role, modifiers_before


def rule_nouns(captions: Sequence[str]) -> list[list[Noun]]:
    """The last word of every noun phrase that closed word classes cut out; English only.

    Words of the phrase that are on no list are its compound; adjectives before it are modifiers.
    """
    return [[_head(caption, *phrase) for phrase in rule_phrases(caption)] for caption in captions]


@noun_finders.register("rules")
def _rules(_: str) -> Nouns:
    return rule_nouns


def _head(caption: str, start: int, end: int) -> Noun:
    words = list(WORD.finditer(caption, start, end))
    first = len(words) - 1
    while first > 0 and not _ends_compound(words[first - 1].group().lower()):
        first -= 1
    offset, head = words[first].start(), words[-1]

    def role_of(left: int, right: int) -> Role:
        role = listed_role(caption, left, right)
        is_within = left >= start and not is_limiting(caption[left:right].lower())
        is_own = "'" in caption[left:right] or "\u2019" in caption[left:right]
        return "adjective" if role == "limit" and is_within and not is_own else role

    modifiers = modifiers_before(caption, offset, role_of)
    return Noun(offset, head.start(), head.end(), caption[offset : head.end()], modifiers)


def _ends_compound(word: str) -> bool:
    """Whether a word is no part of a compound that goes on to its right."""
    return is_limiting(word) or known_kind(word) is not None or word.endswith(("'s", "\u2019s"))
