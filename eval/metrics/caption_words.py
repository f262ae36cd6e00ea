"""Captions to words, as the COCO caption tool counts them, without Java.

That tool runs Stanford's Penn Treebank tokenizer (CoreNLP 3.4.1, lower case) and drops punctuation
tokens. The rules here are our own reading of its output: contractions are split ("isn't": is n't;
"man's": man 's), numbers, addresses, abbreviations and hyphenated words stay whole, brackets turn
into -lrb- and the like and count as words, characters of no script (emoji) vanish. Rare forms
differ, so scores differ from the Java tool's in the digits that such captions make up.
"""

import re
import unicodedata

_STRAIGHT = str.maketrans(
    {
        "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": " -- ",
        "\u2014": " -- ", "\u2026": " ... ", "\u00bd": "1/2", "\u00bc": "1/4", "\u00be": "3/4",
        "\u00a0": " ", "\u00ad": "", "\u20ac": "$",
    }
)  # fmt: skip

_BRACKETS = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}

_PUNCTUATION = frozenset(["'", "''", "`", "``", '"', ".", "...", "?", "!", ",", ":", ";", "-"])

_TITLES = "mr|mrs|ms|dr|prof|st|jr|sr|vs|etc|inc|ltd|co|corp|gen|col|sgt|capt|lt|ave|blvd|rd|no"

_TOKEN = re.compile(
    rf"""
      (?:https?://|www\.)\S+                     # addresses
    | [^\s@]+@[\w-]+(?:\.[\w-]+)+                # mail addresses
    | (?:(?<=\s)|(?<=^))[#@]\w+                  # tags and names
    | (?:(?<=\s)|(?<=^))'(?:tis|twas)\b          # 't is
    | (?:(?<=\s)|(?<=^))'\d\ds?\b                # '90s
    | (?<![\w.'])'(?:s|m|re|ve|ll|d)\b             # a clitic that stands alone
    | (?:(?<=\s)|(?<=^)|(?<=\$))[+-]?\.?\d+(?:[.,:/-]\d+)*(?:st|nd|rd|th|s)?(?![\w/-])
    | (?:[^\W\d_]\.){{2,}}                       # u.s.
    | (?<![\w.'-])[^\W\d_]\.(?=\s|$)             # an initial
    | \b(?:{_TITLES})\.(?=\s|$)
    | \b[^\W\d_](?:')(?:clock)\b
    | [A-Z]+(?:&[A-Z]+)+\b                       # AT&T
    | \w+(?:(?:[-/_]|\.(?=\w)|(?<!s)')\w+|(?<=s)'s\b)*(?:\#|\+\+)?
    | \.\.\.+ | \?[?!]+ | ![?!]+ | -{{1,}} | \*+
    | \S
    """,
    re.VERBOSE | re.IGNORECASE,
)

_CLITIC = re.compile(r"(.+?)(n't|'s|'m|'re|'ve|'ll|'d)$")

# The treebank writes these as two words.
_SPLIT = {
    "cannot": ("can", "not"), "gonna": ("gon", "na"), "gotta": ("got", "ta"),
    "wanna": ("wan", "na"), "lemme": ("lem", "me"), "gimme": ("gim", "me"),
    "'tis": ("'t", "is"), "'twas": ("'t", "was"),
}  # fmt: skip


def caption_words(caption: str) -> list[str]:
    """Words of a caption in lower case, without punctuation; an empty caption has none."""
    words: list[str] = []
    for match in _TOKEN.finditer(caption.translate(_STRAIGHT)):
        words.extend(_parts(match[0].lower()))
    return words


def _parts(token: str) -> tuple[str, ...]:
    if token in _PUNCTUATION or set(token) in ({"-"}, {"."}):
        return ()
    if token in _BRACKETS:
        return (_BRACKETS[token],)
    if token in _SPLIT:
        return _SPLIT[token]
    if len(token) == 1 and unicodedata.category(token) in ("So", "Cn", "Co", "Mn", "Cf", "Sk"):
        return () if token not in "^`" else (token,)
    if clitic := _CLITIC.match(token):
        return (*_parts(clitic[1]), clitic[2])
    return (token,)
