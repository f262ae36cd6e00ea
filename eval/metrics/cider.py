"""CIDEr-D: do captions share the n-grams that tell an image from others?

Vedantam et al. 2015, arXiv 1411.5726, equations 1 to 4 and section 6 (the variant D): n-gram
counts are weighted by log(images / images whose references hold the n-gram), the caption's weights
are clipped to the reference's in the numerator of the cosine, a Gaussian of the difference in
length (sigma 6) damps it, and the mean over references and over n = 1 to 4 is multiplied by 10.

As in the COCO caption tool (read from its code), document frequencies come from the very
references that are scored (one image counts once, whatever its number of references), an n-gram
that no reference holds counts as if one image held it, and length is counted in bigrams. The
value therefore depends on which images are evaluated: compare only on the same ones.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from eval.metrics.bleu import ORDERS, Words, ngrams

SIGMA = 6.0
_SCALE = 10.0

Ngram = tuple[str, ...]


class _Weighted(NamedTuple):
    """A caption as tf-idf vectors, one an order."""

    weights: list[dict[Ngram, float]]
    norms: list[float]
    num_bigrams: int


def document_frequencies(references: Sequence[Sequence[Words]]) -> Counter[Ngram]:
    """Images whose references hold each n-gram of orders 1 to 4."""
    held: Counter[Ngram] = Counter()
    for own in references:
        held.update({g for words in own for n in range(ORDERS) for g in ngrams(words, n + 1)})
    return held


def cider_values(
    captions: Sequence[Words], references: Sequence[Sequence[Words]]
) -> Float64[np.ndarray, " images"]:
    """CIDEr-D of each image, in [0, 10]; the mean over images is the corpus value.

    Args:
        captions: words of the generated caption of each image.
        references: words of each of its reference captions, at least one.
    """
    frequencies = document_frequencies(references)
    log_images = math.log(len(references)) if references else 0.0
    values = []
    for words, own in zip(captions, references, strict=True):
        caption = _weighted(words, frequencies, log_images)
        similar = [_similarity(caption, _weighted(r, frequencies, log_images)) for r in own]
        values.append(_SCALE * sum(similar) / len(similar))
    return np.array(values, dtype=np.float64)


def _weighted(words: Words, frequencies: Counter[Ngram], log_images: float) -> _Weighted:
    weights = [
        {g: count * (log_images - math.log(max(1, frequencies[g]))) for g, count in own.items()}
        for own in (ngrams(words, order) for order in range(1, ORDERS + 1))
    ]
    norms = [math.sqrt(sum(w * w for w in own.values())) for own in weights]
    return _Weighted(weights, norms, max(0, len(words) - 1))


def _similarity(caption: _Weighted, reference: _Weighted) -> float:
    """Mean over the orders of the clipped cosine, damped by the difference in length."""
    total = 0.0
    for order in range(ORDERS):
        norms = caption.norms[order] * reference.norms[order]
        if norms:
            theirs = reference.weights[order]
            shared = [(w, theirs[g]) for g, w in caption.weights[order].items() if g in theirs]
            total += sum(min(ours, other) * other for ours, other in shared) / norms
    gap = caption.num_bigrams - reference.num_bigrams
    return total / ORDERS * math.exp(-(gap**2) / (2 * SIGMA**2))
