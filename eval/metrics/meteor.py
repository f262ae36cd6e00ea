"""METEOR of one text against one reference (Banerjee and Lavie 2005, W05-0909).

Words are aligned in stages: equal words, then equal stems, then synonyms. Each stage goes from the
last word to the first and takes the last free partner, as NLTK 3.10 does (meteor_score.py, read);
the paper asks for the alignment with fewest crossings, which can give fewer chunks. The weights
are NLTK's too: alpha 0.9, beta 3, gamma 0.5.
"""

from collections.abc import Callable, Collection, Sequence
from itertools import pairwise

_ALPHA, _BETA, _GAMMA = 0.9, 3.0, 0.5

#: Other forms of a word that count as the same word.
Forms = Callable[[str], Collection[str]]


def meteor(
    text: Sequence[str],
    reference: Sequence[str],
    *,
    stem: Callable[[str], str] | None = None,
    synonyms: Forms | None = None,
) -> float:
    """Weighted mean of precision and recall, less a penalty for scattered matches, in [0, 1].

    Args:
        text: words; letter case is ignored.
        reference: words of the text it is compared with.
        stem: gives the stem of a word; None leaves this stage out.
        synonyms: one-word synonyms of a word; None leaves this stage out.
    Returns:
        0 where no word matches. A text equal to its reference gets 1 - 0.5 / words^3.
    """
    own, known = [w.lower() for w in text], [w.lower() for w in reference]
    pairs = sorted(_aligned(own, known, stem, synonyms))
    if not pairs:
        return 0.0
    precision, recall = len(pairs) / len(own), len(pairs) / len(known)
    mean = precision * recall / (_ALPHA * precision + (1 - _ALPHA) * recall)
    return mean * (1 - _GAMMA * (_chunks(pairs) / len(pairs)) ** _BETA)


def _aligned(
    own: list[str],
    known: list[str],
    stem: Callable[[str], str] | None,
    synonyms: Forms | None,
) -> list[tuple[int, int]]:
    left, free = list(enumerate(own)), list(enumerate(known))
    pairs = _stage(left, free, lambda word: (word,))
    if stem is not None:
        left, free = _unmatched(left, free, pairs)
        left = [(i, stem(word)) for i, word in left]
        free = [(j, stem(word)) for j, word in free]
        pairs += _stage(left, free, lambda word: (word,))
    if synonyms is not None:
        # the stemmed words go on to this stage in NLTK
        left, free = _unmatched(left, free, pairs)
        pairs += _stage(left, free, lambda word: {word, *synonyms(word)})
    return pairs


def _unmatched(
    left: list[tuple[int, str]], free: list[tuple[int, str]], pairs: list[tuple[int, int]]
) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    taken, given = {i for i, _ in pairs}, {j for _, j in pairs}
    return [p for p in left if p[0] not in taken], [p for p in free if p[0] not in given]


def _stage(
    left: list[tuple[int, str]], free: list[tuple[int, str]], forms: Forms
) -> list[tuple[int, int]]:
    places: dict[str, list[int]] = {}
    for j, word in free:
        places.setdefault(word, []).append(j)
    pairs = []
    for i, word in reversed(left):
        offers = [places[form] for form in forms(word) if places.get(form)]
        if offers:
            pairs.append((i, max(offers, key=lambda offer: offer[-1]).pop()))
    return pairs


def _chunks(pairs: list[tuple[int, int]]) -> int:
    """Runs of matches that are neighbours in both texts."""
    return 1 + sum(after != (one + 1, other + 1) for (one, other), after in pairwise(pairs))
