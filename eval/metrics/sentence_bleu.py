"""BLEU of one text against one reference, smoothed so that short texts do not all score 0.

BLEU is Papineni et al. 2002 (ACL P02-1040); the smoothing is number 4 of Chen and Cherry 2014
(W14-3346). NLTK's ``sentence_bleu`` departs from both, and published XMAI figures come from it, so
this follows NLTK 3.10 (bleu_score.py, read): an order without a match counts as
ln(length) / (5 x 2^i) matches, i being its number among such orders; texts of fewer than four words
weigh as many orders as they have words; orders longer than the text have one n-gram.
"""

import math
from collections import Counter
from collections.abc import Sequence

from eval.metrics.bleu import ORDERS, ngrams

#: Chen and Cherry's K.
_SMOOTHING = 5


def sentence_bleu(text: Sequence[str], reference: Sequence[str]) -> float:
    """BLEU-4 of words against the words of a reference, in [0, 1]; 0 without a common word.

    Equals ``nltk.translate.bleu_score.sentence_bleu([reference], text,
    smoothing_function=SmoothingFunction().method4, auto_reweigh=True)``.
    """
    length = len(text)
    matches, totals = [], []
    for order in range(1, ORDERS + 1):
        own, known = ngrams(text, order), ngrams(reference, order)
        matches.append(_common(own, known))
        totals.append(max(1, own.total()))
    if not matches[0]:
        return 0.0
    precisions = _smoothed(matches, totals, length)
    orders = min(length, ORDERS)
    logs = [math.log(precision) for precision in precisions[:orders] if precision > 0]
    brevity = 1.0 if length > len(reference) else math.exp(1 - len(reference) / length)
    return brevity * math.exp(math.fsum(logs) / orders)


def _common(own: Counter[tuple[str, ...]], known: Counter[tuple[str, ...]]) -> int:
    return (own & known).total()


def _smoothed(matches: list[int], totals: list[int], length: int) -> list[float]:
    """Precisions of all orders; a single word is not smoothed, its logarithm being 0."""
    precisions, halvings = [], 1
    for matched, total in zip(matches, totals, strict=True):
        if matched or length < 2:
            precisions.append(matched / total)
            continue
        precisions.append(math.log(length) / (2**halvings * _SMOOTHING) / total)
        halvings += 1
    return precisions
