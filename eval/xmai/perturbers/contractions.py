"""Contractions written out, and pairs of words contracted: what CheckList mostly does to captions.

Ribeiro et al. 2020, arXiv 2005.04118, changes names, places and numbers too, which captions
hardly have; most captions stay as they are, as they do in the published comparison.
"""

import re

from eval.xmai.perturbers.contract import PerturberOptions, like, perturbers

_PAIRS = (
    ("is not", "isn't"), ("are not", "aren't"), ("was not", "wasn't"), ("were not", "weren't"),
    ("do not", "don't"), ("does not", "doesn't"), ("did not", "didn't"), ("can not", "can't"),
    ("cannot", "can't"), ("could not", "couldn't"), ("will not", "won't"),
    ("would not", "wouldn't"), ("should not", "shouldn't"), ("has not", "hasn't"),
    ("have not", "haven't"), ("it is", "it's"), ("he is", "he's"), ("she is", "she's"),
    ("that is", "that's"), ("there is", "there's"), ("they are", "they're"), ("we are", "we're"),
    ("i am", "i'm"), ("you are", "you're"), ("what is", "what's"), ("who is", "who's"),
)  # fmt: skip

_TO_SHORT = dict(_PAIRS)
_TO_LONG = {short: long for long, short in reversed(_PAIRS)} | {"can't": "cannot"}
_ALL = _TO_SHORT | _TO_LONG
_PATTERN = re.compile(
    r"\b(?:" + "|".join(sorted(map(re.escape, _ALL), key=len, reverse=True)) + r")\b",
    re.IGNORECASE,
)


class Contractions:
    """Turns every contraction of the list, and every pair that has one, into the other form."""

    def perturb(self, caption: str, *, row_id: str, seed: int) -> str:
        """See ``Perturber``; nothing is drawn."""
        return _PATTERN.sub(_other, caption)


def _other(found: re.Match[str]) -> str:
    return like(_ALL[found.group().lower()], found.group())


@perturbers.register("contractions")
def build(options: PerturberOptions) -> Contractions:
    """From options, of which it needs none."""
    return Contractions()
