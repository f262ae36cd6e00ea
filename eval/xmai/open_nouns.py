"""Nouns that are in the picture and can have an adjective before them, by their caption."""

import re
from functools import lru_cache

from data_pipelines.noise.phrases import DETERMINERS, WORD
from eval.xmai.attributes import words
from eval.xmai.letter_case import in_plain_case
from eval.xmai.modifiers import LIMITING
from eval.xmai.negation import Denied, denied, is_denied

#: An adjective goes behind these ("something red"), or nowhere.
_PRONOUNS = words(
    """something anything nothing everything someone anyone no-one somebody anybody nobody
    everybody somewhere anywhere nowhere everywhere one it lot lots kind sort bit none"""
)
#: Nouns that are part of a preposition or an adverb: "in front of a house", "side by side".
_FIXED = re.compile(
    r"\b(?:in|on|at|to)\s+(?:front|top|back|side|bottom|terms)(?=\s+of\b)"
    r"|\b([^\W\d_]+)\s+(?:by|to|in|after|on)\s+\1\b",
    re.IGNORECASE,
)
#: "a children's book": what stands before the book is no owner.
_DESCRIPTIVE = re.compile(
    r"\b(?:men|women|children|kids|ladies|boys|girls|babies|baby|mens)"
    r"['\u2019]?s?['\u2019]?\s+$",
    re.IGNORECASE,
)


def may_be_modified(caption: str, first: int, start: int, end: int) -> bool:
    """Whether a noun is said to be there and its place takes an adjective.

    Args:
        first: where its phrase begins, after the determiner.
        start: where the noun itself begins.
        end: where it ends.
    """
    word = caption[start:end]
    if word.lower() in _PRONOUNS or is_denied(start, end, _denied(caption)):
        return False
    if any(one.start() < end and start < one.end() for one in _FIXED.finditer(caption)):
        return False
    if _DESCRIPTIVE.search(caption, 0, first):
        return False
    return not (_is_name(caption, start) and not _has_determiner(caption, first))


@lru_cache(maxsize=1 << 10)
def _denied(caption: str) -> tuple[Denied, ...]:
    return tuple(denied(caption))


def _is_name(caption: str, start: int) -> bool:
    """Whether a noun has a capital that neither a sentence nor the whole caption gives it."""
    before = caption[:start].rstrip(" \t\n\"'([\u201c\u2018")
    is_first = not before or before.endswith((".", "!", "?", ":"))
    return in_plain_case(caption)[start].isupper() and not is_first


def _has_determiner(caption: str, first: int) -> bool:
    before = WORD.findall(caption[:first])
    last = before[-1].lower() if before else ""
    is_limited = last in DETERMINERS or last in LIMITING or last.isdecimal()
    return is_limited or last.endswith(("'s", "\u2019s", "s'"))
