"""Nouns that a caption says are not there: "no toilets", "without a hat", "the dog is missing".

Our own rules on words, English only. They would rather take a noun for denied than for seen: what
is denied gets no attribute and is asked of no model. Words that deny without a noun of their own
("nothing on the table", "nobody on the bench") deny nothing that stands behind them.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from data_pipelines.noise.phrases import CONNECTIVES, DETERMINERS, FUNCTION_WORDS
from eval.xmai.attributes import words


class Denied(NamedTuple):
    """Characters of a caption whose nouns are denied, ``end`` exclusive."""

    start: int
    end: int


#: Before what they deny.
_CUE = re.compile(
    r"""\b(?:
      (?:free|devoid|bereft|empty|void|clear|instead|absence|lack|none)\s+(?:of|from)
    | without | w/o | sans | minus | lack(?:s|ed|ing)? | (?:missing|absent)(?!\s+from\b)
    | neither | nor | never | cannot
    | rather\s+than | except(?:ing)?(?:\s+for)? | excluding | hardly\s+any | barely\s+any
    | no(?!\s+one\b|\.) | not(?!\s+only\b|\s+just\b) | [a-z]+n['\u2019]t
    )(?![\w'\u2019])""",
    re.IGNORECASE | re.VERBOSE,
)

#: Behind what they deny, up to the beginning of the clause.
_CUE_BEHIND = re.compile(
    r"""(?:
      \b(?:is|are|was|were|be|been|being|seems?|looks?)\s+(?:now\s+|still\s+|all\s+)?
      (?:missing|absent|gone|nowhere|invisible|removed|lacking)
    | \b(?:is|are|was|were)\s*(?:not|n['\u2019]t)\s+
      (?:there|here|visible|present|seen|shown|pictured|in\s+(?:the|this)\s+(?:picture|photo|image|
      frame|scene|shot))
    | \b(?:can(?:not|\s+not|['\u2019]t))\s+be\s+seen
    | \b(?:is|are|was|were)n['\u2019]t\s+(?:there|here|visible|present|seen|shown|pictured)
    | \bnowhere\s+(?:to\s+be\s+(?:seen|found)|in\s+sight)
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)

#: Words with their hyphens; marks each alone.
_TOKEN = re.compile(r"[^\W_]+(?:['\u2019\-][^\W_]+)*|[^\w\s]")
_HYPHENATED = re.compile(r"\b([^\W\d_]+)-(?:free|less)\b", re.IGNORECASE)
_CLAUSE = re.compile(r"[.;:!?,()]|\b(?:but|while|whereas|although|though|because)\b", re.IGNORECASE)
_LISTED = re.compile(
    r"\s*(?:[\w'\u2019-]+\s+){0,2}[\w'\u2019-]+\s*,?\s+(?:or|nor)\b", re.IGNORECASE
)
_ONE = words("a an the one two three some another this that his her their its")
_HARD_MARKS = frozenset('.;:!?()"')
_COUNTER = words("but while whereas although though because")
_JOINING = frozenset(["and", "or", "nor", "&"])
_ENDING = (CONNECTIVES | FUNCTION_WORDS) - DETERMINERS - _JOINING - {"any", "single"}


def denied(caption: str) -> list[Denied]:
    """Parts of a caption whose nouns are not in the picture, in order; they may overlap."""
    found = [
        Denied(cue.start(), _end(caption, cue.group().lower(), cue.end()))
        for cue in _CUE.finditer(caption)
    ]
    for cue in _CUE_BEHIND.finditer(caption):
        marks = [mark.end() for mark in _CLAUSE.finditer(caption, 0, cue.start())]
        found.append(Denied(marks[-1] if marks else 0, cue.start()))
    found += [Denied(*word.span(1)) for word in _HYPHENATED.finditer(caption)]
    return sorted(found)


def is_denied(start: int, end: int, parts: Sequence[Denied]) -> bool:
    """Whether characters ``start`` to ``end`` lie in one of the parts, or touch it."""
    return any(start < part.end and part.start < end for part in parts)


def _end(caption: str, cue: str, start: int) -> int:
    """Where the words that a cue denies end: behind their noun, or the last one of a list."""
    has_content, end = False, start
    tokens = list(_TOKEN.finditer(caption, start))
    for number, token in enumerate(tokens):
        word = token.group().lower()
        following = tokens[number + 1].group().lower() if number + 1 < len(tokens) else ""
        if word in _HARD_MARKS or word in _COUNTER:
            break
        if word == ",":
            if not _LISTED.match(caption, token.end()):
                break
        elif word == "and" and cue == "no" and following in _ONE:
            break
        elif word in _ENDING or _is_verb(word, has_content):
            if has_content:
                break
        elif word not in _JOINING and word not in DETERMINERS:
            has_content = True
        end = token.end()
    return end


def _is_verb(word: str, has_content: bool) -> bool:
    """A participle before the noun that is denied ("not riding a horse"), by its ending."""
    return not has_content and word.endswith("ing") and len(word) > 5
