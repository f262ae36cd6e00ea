"""Noun matching exactly as published, faults and all, on texts with literal masks.

Facts about behaviour: the repository of arXiv 2306.11065 at decde90, ``XMAI/xmai_generate.py`` and
``XMAI/utils.py``; written anew. Kept on purpose: a noun of several words is stored under its first
word but looked up by its full name, so that repetitions lose their attributes (fault 5), and only
the first occurrence that stands between spaces, or at the end, is found.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from eval.errors import EvaluationError
from eval.hub.similarity import Similarity
from eval.xmai.matching import Noun, Nouns

MASK = "[MASK]"
_LENGTH = len(MASK) + 1


class MaskedText(NamedTuple):
    """A text with a mask before every matched noun.

    Attributes:
        text: with masks.
        objects: numbers of the detected objects behind each noun, by the noun's spelling.
    """

    text: str
    objects: dict[str, list[int]]


def mask_direct(text: str, objects: Sequence[str]) -> MaskedText:
    """A mask before every object that is in the text word for word.

    Raises:
        EvaluationError: an object has no name.
    """
    found: dict[str, list[int]] = {}
    for number, name in enumerate(objects):
        if name in found:
            found[name.split()[0]].append(number)
            continue
        start = text.find(name)
        if start <= 0 or text[start - 1] != " " or not _ends_word(text, start + len(name)):
            continue
        if text[:start].endswith(f"{MASK} "):
            continue
        found[_first_word(name)] = [number]
        text = f"{text[:start]}{MASK} {text[start:]}"
    return MaskedText(text, found)


def mask_similar(
    text: str,
    objects: Sequence[str],
    *,
    nouns: Nouns,
    similarity: Similarity,
    threshold: float,
) -> MaskedText:
    """A mask before every noun that is near an object; the letters of a noun alone count."""
    spans: list[Noun] = nouns([text])[0]
    words = ["".join(c for c in text[noun.start : noun.end] if c.isalpha()) for noun in spans]
    cosines = similarity.matrix(words, objects)
    found: dict[str, list[int]] = {}
    masked, shift = text, 0
    for row, (noun, word) in enumerate(zip(spans, words, strict=True)):
        near = [column for column in range(len(objects)) if cosines[row, column] >= threshold]
        if not near:
            continue
        if word in found:
            found[word] += near
            continue
        start = noun.start + shift
        masked = f"{masked[:start]}{MASK} {masked[start:]}"
        shift += _LENGTH
        found[word] = near
    return MaskedText(masked, found)


def mask_text(
    text: str, objects: Sequence[str], mode: str, similar: Callable[[], MaskedText]
) -> MaskedText:
    """By mode: "direct", "sim", or "mix", which is "sim" where "direct" finds nothing at all.

    Raises:
        EvaluationError: the mode is unknown.
    """
    if mode == "sim":
        return similar()
    if mode not in ("direct", "mix"):
        raise EvaluationError(f"unknown matching '{mode}'; choose direct, sim or mix")
    direct = mask_direct(text, objects)
    return similar() if mode == "mix" and not direct.objects else direct


def _ends_word(text: str, end: int) -> bool:
    return end == len(text) or text[end : end + 1] == " "


def _first_word(name: str) -> str:
    parts = name.split()
    if not parts:
        raise EvaluationError("a detected object has no name; upstream's code ends there")
    return parts[0]
