"""Captions in capitals and in title case: how they are read, and how words are put into them."""

import re

_WORD = re.compile(r"[^\W\d_]+")
_SENTENCE_ENDS = (".", "!", "?")


def in_plain_case(text: str) -> str:
    """What a tagger should read: capitals and title case in lower case, else the text itself.

    Of the same length, so that characters keep their places.
    """
    lower = text.lower()
    is_special = _is_capitals(text) or _is_title(text)
    return lower if is_special and len(lower) == len(text) else text


def in_case_of(word: str, before: str, after: str) -> str:
    """A word as its neighbours are written: capitals, title case, or first in a sentence."""
    whole = before + after
    if _is_capitals(whole):
        return word.upper()
    capital = word[:1].upper() + word[1:]
    if _is_title(whole):
        return capital
    is_first = not before.strip() or before.rstrip().endswith(_SENTENCE_ENDS)
    return capital if is_first and after[:1].isupper() and not after[:2].isupper() else word


def _is_capitals(text: str) -> bool:
    return text.isupper() and len(_WORD.findall(text)) > 1


def _is_title(text: str) -> bool:
    """Three long words or more, every one with a capital."""
    long = [word for word in _WORD.findall(text) if len(word) > 3]
    return len(long) > 2 and all(word[0].isupper() for word in long)
