"""Corpus BLEU of captions with several references (Papineni et al. 2002, ACL P02-1040).

BLEU-n = brevity penalty x geometric mean of the clipped n-gram precisions of orders 1 to n, counts
summed over all captions. The reference length of a caption is that of the reference nearest in
length, the shorter one of two. All of it is sums over images, so a bootstrap needs no captions:
``bleu_counts`` keeps ten numbers an image.

The COCO caption tool differs by constants of 1e-9 in divisions, which show where a corpus has no
n-grams of an order; here BLEU is then 0.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.resampling import image_weights, resampled_score
from eval.results import Score

#: Longest n-gram.
ORDERS = 4

Words = Sequence[str]


def ngrams(words: Words, order: int) -> Counter[tuple[str, ...]]:
    """How often each run of ``order`` words occurs."""
    return Counter(tuple(words[i : i + order]) for i in range(len(words) - order + 1))


def bleu_counts(
    captions: Sequence[Words], references: Sequence[Sequence[Words]]
) -> Int64[np.ndarray, "images 10"]:
    """Of each caption: clipped matches of orders 1 to 4, n-grams of orders 1 to 4, two lengths.

    Args:
        captions: words of the generated caption of each image.
        references: words of each of its reference captions, at least one.
    """
    rows = [_counts(own, refs) for own, refs in zip(captions, references, strict=True)]
    return np.array(rows, dtype=np.int64).reshape(-1, 2 * ORDERS + 2)


def bleu_values(counts: Float64[np.ndarray, " 10"] | Int64[np.ndarray, " 10"]) -> list[float]:
    """BLEU-1 to BLEU-4 from the summed counts of a corpus; 0 where an order has no match."""
    return _values(counts[None].astype(np.float64))[0].tolist()


def bleu_scores(counts: Int64[np.ndarray, "images 10"], *, seed: int) -> dict[str, Score]:
    """``bleu_1`` to ``bleu_4`` with intervals over images.

    Args:
        counts: of ``bleu_counts``, at least one image.
        seed: of the draws.
    """
    values = bleu_values(counts.sum(axis=0))
    numbers = counts.astype(np.float64)
    drawn = _values(np.array([w @ numbers for w in image_weights(len(counts), seed=seed)]))
    return {
        f"bleu_{order + 1}": resampled_score(values[order], drawn[:, order], len(counts))
        for order in range(ORDERS)
    }


def _values(counts: Float64[np.ndarray, "corpora 10"]) -> Float64[np.ndarray, "corpora 4"]:
    matches, totals = counts[:, :ORDERS], counts[:, ORDERS : 2 * ORDERS]
    length, nearest = counts[:, -2], counts[:, -1]
    has_words = length > 0
    ratio = np.divide(nearest, length, out=np.ones(len(counts)), where=has_words)
    brevity = np.where(has_words, np.minimum(1.0, np.exp(1 - ratio)), 0.0)
    precisions = np.divide(matches, totals, out=np.zeros(matches.shape), where=totals > 0)
    with np.errstate(divide="ignore"):
        means = np.exp(np.cumsum(np.log(precisions), axis=1) / np.arange(1, ORDERS + 1))
    return brevity[:, None] * means


def _counts(caption: Words, references: Sequence[Words]) -> list[int]:
    matches, totals = [], []
    for order in range(1, ORDERS + 1):
        own = ngrams(caption, order)
        most: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            most |= ngrams(reference, order)
        matches.append((own & most).total())
        totals.append(own.total())
    nearest = min((abs(len(ref) - len(caption)), len(ref)) for ref in references)[1]
    return [*matches, *totals, len(caption), nearest]
