"""Slips of grammar that can be counted without a model, and outside checkers where installed.

The rules are our own and few, chosen because inserting words causes them: the wrong one of "a" and
"an", a word written twice, brackets or quotes that do not close, a space before a comma, and what
language models leave behind (mask tokens, word pieces, words fused with a piece). They find a part
of what is wrong, and nothing about meaning.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from eval.errors import EvaluationError
from eval.xmai.articles import sounds_like_vowel

Checker = Literal["rules", "languagetool", "harper"]

SPECIAL = re.compile(
    r"\[(?:MASK|UNK|CLS|SEP|PAD)\]|<(?:mask|unk|s|/s|pad)>|<\|endoftext\|>|##|\u0120|\u2581",
    re.IGNORECASE,
)

_WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")
_ARTICLE = re.compile(r"\b(an?)\s+([^\W\d_][\w'-]*)", re.IGNORECASE)
_SPACED_MARK = re.compile(r"\w\s+[,;.!?](?:\s|$)")

_MAY_REPEAT = frozenset(["had", "that", "very", "so", "bye", "ha", "no", "knock", "tuk", "yo"])


def slips(text: str) -> Counter[str]:
    """How often each rule finds something in a text."""
    words = [word.lower() for word in _WORD.findall(text)]
    found = {
        "article": sum(
            (article.lower() == "an") != sounds_like_vowel(word.lower() if text.isupper() else word)
            for article, word in _ARTICLE.findall(text)
        ),
        "doubled word": _doubled(words),
        "unbalanced": _unbalanced(text),
        "space before mark": len(_SPACED_MARK.findall(text)),
        "special token": len(SPECIAL.findall(text)),
    }
    return Counter({name: count for name, count in found.items() if count})


def new_slips(original: str, changed: str) -> int:
    """Slips that a changed text has beyond those of its original, fused words included."""
    added = slips(changed) - slips(original)
    return added.total() + len(fused_words(original, changed))


def fused_words(original: str, changed: str) -> list[str]:
    """New words that begin with a lost one ("hound" to "houndless"), as word pieces leave them.

    Lost words of fewer than three letters do not count.
    """
    before = Counter(word.lower() for word in _WORD.findall(original))
    after = Counter(word.lower() for word in _WORD.findall(changed))
    lost = [word for word in before - after if len(word) > 2]
    return [new for new in after - before if any(new.startswith(word) for word in lost)]


def counter_of(checker: str) -> Callable[[Sequence[str]], list[int]]:
    """Issues of each text by the rules above, LanguageTool or Harper.

    Raises:
        EvaluationError: no such checker, or its package is not installed.
    """
    if checker == "rules":
        return lambda texts: [slips(text).total() for text in texts]
    if checker == "languagetool":
        return _language_tool()
    if checker == "harper":
        return _harper()
    raise EvaluationError(f"no grammar checker '{checker}'; take rules, languagetool or harper")


def _language_tool() -> Callable[[Sequence[str]], list[int]]:
    try:
        import language_tool_python  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise EvaluationError(
            "languagetool needs its client and Java: pip install language_tool_python"
        ) from error
    tool = language_tool_python.LanguageTool("en-US")
    return lambda texts: [len(tool.check(text)) for text in texts]


def _harper() -> Callable[[Sequence[str]], list[int]]:
    try:
        from harper import Linter  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise EvaluationError("harper needs its package: pip install harper-py") from error
    linter = Linter()
    return lambda texts: [len(linter.lint(text)) for text in texts]


def _doubled(words: Sequence[str]) -> int:
    return sum(a == b and a not in _MAY_REPEAT and not a.isdigit() for a, b in pairwise(words))


def _unbalanced(text: str) -> int:
    pairs = (("(", ")"), ("[", "]"), ("{", "}"), ("\u201c", "\u201d"))
    open_ones = sum(text.count(left) != text.count(right) for left, right in pairs)
    return open_ones + text.count('"') % 2
