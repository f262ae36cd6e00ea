"""open_clip's cleaning of captions (ftfy, then html.unescape twice) as steps of ``tokenizers``.

A tokenizer file can replace fixed strings and characters, so what is a finite table is written out
from the tables of ftfy and of Python's ``html``. ftfy's repair of wrongly decoded text is no
table: ``NOT_DONE`` says so.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ftfy import chardata

from vlsuite.models.dual_encoder.html_references import (
    unescaping_after_repair,
    unescaping_before_repair,
)

#: For the card and the output of an export.
NOT_DONE = (
    "not done by the exported tokenizer: the repair of text decoded with a wrong character set; "
    "numeric character references (&#...;) of characters without a name in HTML, but for Latin, "
    "Greek and Cyrillic letters and punctuation; the order of two accents on one letter where "
    "one is new since Unicode 13; with a tokenizer of the model's own, special tokens whose names "
    "are written with references"
)

#: One of each kind that is cleaned before it becomes tokens; the check of an export reads them.
HARD_CAPTIONS = (
    "\uff26\uff35\uff2c\uff2c price\uff08\u96cc\u5b54\u96c0\uff0c\u6216\uff09\u3002\u3000\uff01",
    "\ufb01sh and \ufb02at co\ufb00ee, \u01c6ep \u0133s",
    "&nbsp;caf&eacute; &copy; 2020 &notin; &hellip; P&EACUTE;REZ",
    "a &amp;amp; b &amp;lt;b&amp;gt; AT&amp;T &lt;i&gt;x&lt;/i&gt;",
    "caf&#233; &#39;x&#x27; &#8220;q&#8221; &copy 1999 this&not that",
    "cafe\u0301 \u00bd cup\u200b\ufeff a\u00a0b\u2028c \u0130stanbul \u017fun \u201eq\u201c",
    "\uff8d\uff9f\uff9d\uff77\uff9e\uff9d \ud55c\uad6d 10\uff05 C++ / C# a_b_c",
    "<b>it&rsquo;s &#8220;q&#x201D;</b> &EACUTE; &ldquo;x&rdquo;",
    "it&#8217s &#8220q&#x201D &#233t&#233 e&#769; e&#769 &#128;5 &#150 &#129;",
    "a&#1;b&#0;c &#xD800; &#1114112; &#x110000 &#9;x&#13&#2df1 &#127;",
    "\u039f\u0394\u039f\u03a3 \u03a3\u0391\u03a3, \u0391\u03a3' \u03a3 \u0391.\u03a3",
    "it'\u017f IT'S the DOG'LL a\u0345b",
    "\x1b[36;44mblue\x1b[0m \x07bell\x7f line\r\nnext\x85",
)

#: One of each kind in ``NOT_DONE``, of which an export says how many differ.
DIFFERENT_CAPTIONS = (
    "sch\u00c3\u00b6n don\u00e2\u20ac\u2122t",
    "&#20013;&#25991; &#x1F600;",
    "a\u1acd\u0f74",
)


def cleaning_steps() -> list[Any]:
    """Normalizers, in their order, that stand before those of a tokenizer."""
    from tokenizers import normalizers

    return [
        *_replaced(unescaping_before_repair()),
        *_replaced(_characters()),
        normalizers.NFC(),
        *_replaced(unescaping_after_repair()),
        *_replaced([(r"\s+", " ")]),
        normalizers.Strip(),
    ]


def _replaced(table: list[tuple[str, str]]) -> list[Any]:
    from tokenizers import Regex, normalizers

    return [normalizers.Replace(Regex(pattern), text) for pattern, text in table]


def _characters() -> list[tuple[str, str]]:
    """ftfy's changes of single characters, in its order."""
    c1 = {chr(c): bytes([c]).decode("cp1252", "ignore") for c in range(0x80, 0xA0)}
    controls = "".join(map(chr, chardata.CONTROL_CHARS))
    return [
        *_grouped({k: v for k, v in c1.items() if v}),
        *_grouped({chr(k): v for k, v in chardata.LIGATURES.items()}),
        *_grouped({chr(k): v for k, v in chardata.WIDTH_MAP.items()}),
        (chardata.SINGLE_QUOTE_RE.pattern, "'"),
        (chardata.DOUBLE_QUOTE_RE.pattern, '"'),
        ("\r\n|[\r\u2028\u2029\u0085]", "\n"),
        (r"\x1b\[[\p{Nd};]*[a-zA-Z]", ""),
        (_character_class(controls), ""),
    ]


def _grouped(table: Mapping[str, str]) -> list[tuple[str, str]]:
    """One alternation for each text: several times quicker than a class of characters."""
    by_text: dict[str, list[str]] = defaultdict(list)
    for character, text in table.items():
        by_text[text].append(re.escape(character))
    return [("|".join(characters), text) for text, characters in by_text.items()]


def _character_class(characters: str) -> str:
    return "[" + "".join(f"\\x{{{ord(c):X}}}" for c in characters) + "]"
