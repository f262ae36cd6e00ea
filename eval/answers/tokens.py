# ruff: noqa: SIM905
"""Words, numbers and names as tokens: "C#", "A-", "1.0" and "-5" are one each."""

import re
from typing import NamedTuple

#: Scripts without spaces between words: each sign is a token.
_SIGN = r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_TOKEN = re.compile(
    rf"{_SIGN}"
    r"|(?<![\w.])[+\-]?[$\u20ac\u00a3\u00a5\u20b9]?\d+(?:[.,:/]\d+)*(?:\s?\u00b0\s?[CF]\b|\s?[%\u00b0])?"
    r"|\d+(?:[.,:/]\d+)*(?:\s?[%\u00b0])?"
    rf"|(?:(?!{_SIGN})[^\W_])+(?:['-](?:(?!{_SIGN})[^\W_])+)*"
    r"(?:\+{1,2}|[#\u266d]|(?<=\b[A-Za-z])-(?![\w-]))?"
)
_THOUSANDS = re.compile(r"[+\-]?\d{1,3}(?:,\d{3})+")
_HAS_DIGIT = re.compile(r"\d")

_NUMBER_WORDS = {
    word: str(number)
    for number, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
}
_HAN_NUMBERS = dict(zip("一两二三四五六七八九十", ("1", "2", *map(str, range(2, 11))), strict=True))
_HAN_COUNTED = frozenset("个個人位只隻名次名声聲辆")

#: Words that change nothing between an option and its retelling.
_DROPPED = frozenset(["a", "an", "the", "is", "are", "was", "were", "be", "being", "been", "and"])
_PRONOUN_ONE_BEFORE = frozenset(
    "the this that no any every which each correct only right some".split()
)
_PRONOUN_ONE_AFTER = frozenset(["of", "who", "that", "is", "can", "which"])


class Token(NamedTuple):
    """One word, number or sign of a text.

    Attributes:
        form: in small letters; numbers from zero to twenty as digits.
        start, end: where it stands.
    """

    form: str
    start: int
    end: int


def tokens(text: str) -> list[Token]:
    """All tokens in order."""
    found = [Token(m.group().casefold(), m.start(), m.end()) for m in _TOKEN.finditer(text)]
    return [
        token._replace(form=_as_number(token.form, _before(found, n), _form(found, n + 1)))
        for n, token in enumerate(found)
    ]


def loosely(token: Token) -> str:
    """The stem of a word, empty for words that change nothing; numbers and names as they are."""
    form = token.form
    if form in _DROPPED:
        return ""
    if _HAS_DIGIT.search(form):
        form = form.replace(" ", "")
        return form.replace(",", "") if _THOUSANDS.fullmatch(form) else form
    for ending in ("ing", "ed", "es", "s"):
        if form.endswith(ending) and len(form) - len(ending) >= 3 and not form.endswith("ss"):
            form = form[: -len(ending)]
            break
    if len(form) > 3 and form[-1] == form[-2]:
        form = form[:-1]
    return form[:-1] if len(form) > 3 and form.endswith("e") else form


def is_number(form: str) -> bool:
    """Whether a token is a number, with or without units."""
    return bool(_HAS_DIGIT.search(form)) and not re.search(r"[^\W\d_]{2,}", form)


def _form(found: list[Token], place: int) -> str:
    return found[place].form if 0 <= place < len(found) else ""


def _before(found: list[Token], place: int) -> str:
    """The word before; "only" counts as the "the" in front of it, or as nothing."""
    form = _form(found, place - 1)
    return _form(found, place - 2) if form == "only" else form


def _as_number(form: str, before: str, after: str) -> str:
    if form == "one" and (before in _PRONOUN_ONE_BEFORE or after in _PRONOUN_ONE_AFTER):
        return form
    if form in _HAN_NUMBERS:
        return _HAN_NUMBERS[form] if after in _HAN_COUNTED else form
    return _NUMBER_WORDS.get(form, form)
