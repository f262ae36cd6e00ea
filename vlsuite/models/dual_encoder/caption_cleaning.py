"""open_clip's cleaning of captions (ftfy, then html.unescape twice) as steps of ``tokenizers``.

A tokenizer file can replace fixed strings and characters, so what is a finite table is written out
from the tables of ftfy and of Python's ``html.entities``. ftfy's repair of wrongly decoded text is
no table: ``NOT_DONE`` says so.
"""

import html
import re
from collections import defaultdict
from collections.abc import Mapping
from html.entities import html5
from typing import Any

from ftfy import chardata

#: For the card and the output of an export.
NOT_DONE = (
    "not done by the exported tokenizer: the repair of text decoded with a wrong character set, "
    "terminal escapes, and numeric character references (&#...;) above U+00FF outside general "
    "punctuation"
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
)

#: Entities nested as deeply are read: ftfy until nothing changes, then html.unescape twice.
_NESTED = 3
_REFERENCES = (*range(0x20, 0x7F), *range(0x80, 0x100), *range(0x2010, 0x2040))


def cleaning_steps() -> list[Any]:
    """Normalizers, in their order, that stand before those of a tokenizer."""
    from tokenizers import Regex, normalizers

    patterns = [("&(?:amp|AMP|#0*38|#[xX]0*26);?", "&")] * _NESTED + _entities()
    patterns += _characters()
    return [normalizers.Replace(Regex(pattern), text) for pattern, text in patterns]


def _entities() -> list[tuple[str, str]]:
    """Patterns of named and numeric references, longest names first, by what they stand for."""
    exact, open_ended = dict(chardata.HTML_ENTITIES), {}
    for name, text in html5.items():
        if not name.endswith(";"):
            open_ended["&" + name] = text
    named = _grouped({k: v for k, v in exact.items() if html.unescape(k) != "&"})
    numeric = [
        (f"&#(?:0*{code}|[xX]0*(?i:{code:x}));", html.unescape(f"&#{code};"))
        for code in _REFERENCES
        if code != ord("&")
    ]
    longest = sorted(open_ended, key=len, reverse=True)
    short = [(re.escape(k), open_ended[k]) for k in longest if open_ended[k] != "&"]
    return named + numeric + short


def _characters() -> list[tuple[str, str]]:
    """ftfy's changes of single characters, in its order."""
    c1 = {chr(c): bytes([c]).decode("cp1252", "ignore") for c in range(0x80, 0xA0)}
    controls = "".join(map(chr, chardata.CONTROL_CHARS))
    return [
        *_classes({k: v for k, v in c1.items() if v}),
        *_classes({chr(k): v for k, v in chardata.LIGATURES.items()}),
        *_classes({chr(k): v for k, v in chardata.WIDTH_MAP.items()}),
        (chardata.SINGLE_QUOTE_RE.pattern, "'"),
        (chardata.DOUBLE_QUOTE_RE.pattern, '"'),
        ("\r\n|[\r\u2028\u2029\u0085]", "\n"),
        (_character_class(controls), ""),
    ]


def _grouped(table: Mapping[str, str]) -> list[tuple[str, str]]:
    by_text: dict[str, list[str]] = defaultdict(list)
    for key, text in table.items():
        by_text[text].append(re.escape(key))
    return [("|".join(sorted(keys, key=len, reverse=True)), t) for t, keys in by_text.items()]


def _classes(table: Mapping[str, str]) -> list[tuple[str, str]]:
    by_text: dict[str, str] = defaultdict(str)
    for character, text in table.items():
        by_text[text] += character
    return [(_character_class(characters), text) for text, characters in by_text.items()]


def _character_class(characters: str) -> str:
    return "[" + "".join(f"\\x{{{ord(c):X}}}" for c in characters) + "]"
