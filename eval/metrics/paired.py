"""Two models on the same images: how much better is one, and could it be chance?

Models agree on most images, so the difference is known far better than either accuracy: intervals
here use the pairs.

- Shares (right or wrong an image): Newcombe 1998, Statistics in Medicine 17, 2635, method 10:
  Wilson's intervals of both shares, combined with their correlation. McNemar's exact test
  (binomial, two-sided) gives the p value.
- Anything else (reciprocal ranks, nats, cosines; captions of an image): images are drawn with
  replacement, each with its pair of values (percentile bootstrap).
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.stats import binomtest

from eval.errors import EvaluationError
from eval.metrics.intervals import wilson_score
from eval.metrics.resampling import image_weights, percentile_score
from eval.results import Score


class PairedDifference(NamedTuple):
    """Difference of two shares over the same images, first minus second.

    Attributes:
        difference: with its 95% interval, in [-1, 1].
        p_value: of McNemar's exact test that both shares are equal.
        only_first: images that only the first model has right.
        only_second: images that only the second model has right.
    """

    difference: Score
    p_value: float
    only_first: int
    only_second: int


def paired_shares(
    first: Bool[np.ndarray, " images"], second: Bool[np.ndarray, " images"]
) -> PairedDifference:
    """First share minus second, with Newcombe's paired interval and McNemar's exact p value.

    Args:
        first: whether the first model has each image right.
        second: the same of the second model, on the same images in the same order.
    Raises:
        EvaluationError: no images.
    """
    if not len(first):
        raise EvaluationError("two models need common images to be compared on; there are none")
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    discordant = only_first + only_second
    p_value = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    correlation = _correlation(both, only_first, only_second, neither)
    one, two = wilson_score(first), wilson_score(second)
    value = (only_first - only_second) / len(first)
    below = _combined(one.value - one.low, two.high - two.value, correlation)
    above = _combined(one.high - one.value, two.value - two.low, correlation)
    low, high = max(-1.0, value - below), min(1.0, value + above)
    difference = Score(value, low, high, len(first), unit="points")
    return PairedDifference(difference, p_value, only_first, only_second)


def paired_means(
    first: Float64[np.ndarray, " values"],
    second: Float64[np.ndarray, " values"],
    *,
    images: Int64[np.ndarray, " values"] | None = None,
    unit: str = "number",
    seed: int,
) -> Score:
    """First mean minus second, with the bootstrap interval over images.

    Args:
        first: a figure of the first model for each image, or for each caption.
        second: the same of the second model, in the same order.
        images: number of the image each value belongs to, where an image has several (captions):
            they are drawn together. None means one value an image.
        unit: of the difference, as in ``Score``.
        seed: of the draws.
    Raises:
        EvaluationError: no values.
    """
    if not len(first):
        raise EvaluationError("two models need common images to be compared on; there are none")
    differences = first - second
    owners = np.arange(len(first)) if images is None else np.unique(images, return_inverse=True)[1]
    sums, counts = np.bincount(owners, weights=differences), np.bincount(owners)
    drawn = np.array(
        [(weights @ sums) / (weights @ counts) for weights in image_weights(len(counts), seed=seed)]
    )
    return percentile_score(float(differences.mean()), drawn, len(first), unit=unit)


def _correlation(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Phi of the two-by-two table, corrected for continuity where positive; 0 if undefined."""
    margins = math.prod(
        [both + only_first, only_second + neither, both + only_second, only_first + neither]
    )
    if not margins:
        return 0.0
    excess = both * neither - only_first * only_second
    num_images = both + only_first + only_second + neither
    corrected = max(excess - num_images / 2, 0.0) if excess > 0 else excess
    return corrected / math.sqrt(margins)


def _combined(one: float, two: float, correlation: float) -> float:
    return math.sqrt(max(one * one - 2 * correlation * one * two + two * two, 0.0))
