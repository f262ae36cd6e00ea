"""The parser of OmniBench's own scripts, frozen with its faults, to compare figures with them.

Public code: multimodal-art-projection/OmniBench, inference/answer_parsing.py, itself after MMMU.
Rewritten from its rules. The letter rule has no left boundary: the article "A" counts, and so
does the end of "NBA".
"""

from collections.abc import Callable, Sequence

from eval.omnibench.parsers.registry import parsers
from eval.respondents.question import LETTERS

_STRIPPED = (",", ".", "!", "?", ";", ":", "'")
_MANY_WORDS = 5


@parsers.register("upstream")
def parse_upstream(text: str, options: Sequence[str]) -> int | None:
    """As since pull request 2 (2024-12-31); no answer where the script says "N/A"."""
    return parse_padded(f" {text} ", options, with_texts=True)


@parsers.register("upstream_before_pr2")
def parse_upstream_before_pr2(text: str, options: Sequence[str]) -> int | None:
    """As before it: punctuation is taken off both ends first, one sign after the other."""
    for sign in _STRIPPED:
        text = text.strip(sign)
    return parse_padded(f" {text} ", options, with_texts=True)


def parse_padded(padded: str, options: Sequence[str], *, with_texts: bool) -> int | None:
    """The first rule that finds anything; of several findings the last, as ``rfind`` sees it.

    Args:
        padded: response with a space at each end.
        with_texts: whether texts of options count in responses of more than five words.
    """
    letters = LETTERS[: len(options)]
    found = [i for i, letter in enumerate(letters) if f"({letter})" in padded]
    if found:
        return _last(found, lambda i: padded.rfind(f"({letters[i]})"))
    for sign in (" ", "."):
        found = [i for i, letter in enumerate(letters) if f"{letter}{sign}" in padded]
        if found:
            return _last(found, lambda i: padded.rfind(f" {letters[i]} "))
    if with_texts and len(padded.split()) > _MANY_WORDS:
        lower = padded.lower()
        found = [i for i, option in enumerate(options) if option.lower() in lower]
        if found:
            return _last(found, lambda i: lower.rfind(options[i].lower()))
    return None


def gold_by_parsing(answer: str, options: Sequence[str]) -> int | None:
    """What the metric script takes for the right option: its parser's reading of the answer's text.

    For comparison only. An answer that begins with "A " becomes option A wherever it stands; None
    is where the script stops with an assertion. The right one is ``options.index(answer)``.
    """
    return parse_upstream(answer, options)


def _last(found: Sequence[int], place: Callable[[int], int]) -> int:
    """The candidate that ends the text; the first of them where none can be placed (all -1)."""
    return max(found, key=place)
