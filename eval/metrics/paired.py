"""Two models on the same images: how much better is one, and could it be chance?

Models agree on most images, so the difference is known far better than either accuracy: intervals
here use the pairs.

- Shares (right or wrong an image): Newcombe 1998, Statistics in Medicine 17, 2635, method 10:
  Wilson's intervals of both shares, combined with their correlation. McNemar's exact test
  (binomial, two-sided) gives the p value.
- Anything else (reciprocal ranks, nats, cosines; captions of an image): the mean of the pairs'
  differences, images being clusters (``eval.metrics.mean_intervals``).
- Figures that are no means (average precision): both in the same bootstrap resamples of the
  images, resample by resample (Efron and Tibshirani 1993, chapter 13).
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.stats import binomtest, norm, t

from eval.errors import EvaluationError
from eval.metrics.effective_trials import (
    POINTS,
    STUDENT,
    Bounds,
    Limits,
    all_equal_limits,
    difference_limits,
)
from eval.metrics.intervals import scored, wilson_score
from eval.metrics.mean_intervals import difference_of_shares_limits, mean_limits
from eval.results import Score

NEWCOMBE_PAIRED = "Newcombe's method 10 for paired shares"
PAIRED_BOOTSTRAP = f"{STUDENT}, paired bootstrap over images"
FEW_DIFFER = " (fewer than 10 images differ: covers at least 95%)"

_ENUMERATED = 14
_FEW = 10


class PairedDifference(NamedTuple):
    """Difference of two scores over the same images, first minus second.

    Attributes:
        difference: with its 95% interval.
        p_value: that both are equal: McNemar's exact test, or a sign flip test over images.
        only_first: images that only the first model has right, or that it does better on.
        only_second: the same of the second model.
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
    _refuse_none(first)
    both, neither = int((first & second).sum()), int((~first & ~second).sum())
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    discordant = only_first + only_second
    p_value = float(binomtest(only_first, discordant).pvalue) if discordant else 1.0
    correlation = _correlation(both, only_first, only_second, neither)
    one, two = wilson_score(first), wilson_score(second)
    value = (only_first - only_second) / len(first)
    limits = difference_limits(
        (one.value, Limits(one.low, one.high, NEWCOMBE_PAIRED)),
        (two.value, Limits(two.low, two.high, NEWCOMBE_PAIRED)),
        correlation=correlation,
    )
    low, high = max(-1.0, limits.low), min(1.0, limits.high)
    method = limits.method + (FEW_DIFFER if discordant < _FEW else "")
    difference = Score(value, low, high, len(first), unit="points", method=method)
    return PairedDifference(difference, p_value, only_first, only_second)


def paired_units(
    first: Float64[np.ndarray, " values"],
    second: Float64[np.ndarray, " values"],
    images: Int64[np.ndarray, " values"],
    *,
    most: float | None = 1.0,
    unit: str = "points",
    seed: int = 0,
) -> PairedDifference:
    """First mean minus second where an image has several values, or values are not 0 or 1.

    The p value is that of a sign flip test over images: were the models alike, each image's
    difference could as well have the other sign (Fisher 1935). Exact for up to 14 images that
    differ, else by the normal distribution. ``only_first`` and ``only_second`` count the images
    that the one and the other model does better on.

    Args:
        first: values of the first model.
        second: of the second, in the same order.
        images: number of the image of each value.
        most: greatest possible size of a difference; None where it has no bound.
        unit: of the difference, as in ``Score``.
        seed: of the draws.
    Raises:
        EvaluationError: no values.
    """
    _refuse_none(first)
    differences = first - second
    if most is None:
        limits = mean_limits(differences, images, bounds=None, seed=seed)
    else:
        limits = difference_of_shares_limits(differences, images, most=most)
    by_image = np.bincount(np.unique(images, return_inverse=True)[1], weights=differences)
    by_image[np.abs(by_image) < 1e-9] = 0.0
    score = scored(float(differences.mean()), limits, len(first), unit=unit)
    better = int((by_image > 0).sum()), int((by_image < 0).sum())
    return PairedDifference(score, _sign_flip_p(by_image[by_image != 0]), *better)


def paired_resamples(
    first: tuple[float, Float64[np.ndarray, " resamples"]],
    second: tuple[float, Float64[np.ndarray, " resamples"]],
    *,
    units: int,
    n: int,
) -> PairedDifference | None:
    """First figure minus second, from both in the same resamples of the images.

    The spread of the differences is the standard error; interval and two-sided p value are
    Student's. ``only_first`` and ``only_second`` count the resamples that the one and the other
    model is better in.

    Args:
        first: a figure of the first model between 0 and 1, and in each resample.
        second: of the second, in the same resamples.
        units: images that the figures rest on; one less are the degrees of freedom.
        n: images of the data set.
    Returns:
        None where fewer than half of the resamples define both.
    """
    differences = first[1] - second[1]
    defined = differences[np.isfinite(differences)]
    if len(defined) < 2 or len(defined) < len(differences) / 2:
        return None
    value = first[0] - second[0]
    error = float(defined.std()) * math.sqrt(units / max(units - 1, 1))
    if error == 0 or units < 2:
        limits, p_value = all_equal_limits(value, units=max(units, 1), bounds=POINTS), 1.0
    else:
        half = float(t.ppf(0.975, units - 1)) * error
        limits = Limits(max(value - half, -1.0), min(value + half, 1.0), PAIRED_BOOTSTRAP)
        p_value = float(2 * t.sf(abs(value) / error, units - 1))
    score = scored(value, limits, n, unit="points")
    return PairedDifference(score, p_value, int((defined > 0).sum()), int((defined < 0).sum()))


def _refuse_none(first: np.ndarray) -> None:
    if not len(first):
        raise EvaluationError("two models need common images to be compared on; there are none")


def _sign_flip_p(sums: Float64[np.ndarray, " images"]) -> float:
    """Two-sided; of sums that are not 0."""
    count, total = len(sums), abs(float(sums.sum()))
    if not count:
        return 1.0
    if count > _ENUMERATED:
        return float(2 * norm.sf(total / math.sqrt(float(sums @ sums))))
    signs = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    return float((np.abs(signs @ sums) >= total * (1 - 1e-9)).mean())


def paired_means(
    first: Float64[np.ndarray, " values"],
    second: Float64[np.ndarray, " values"],
    *,
    images: Int64[np.ndarray, " values"] | None = None,
    unit: str = "number",
    bounds: Bounds = None,
    seed: int,
) -> Score:
    """First mean minus second, over the same images.

    Args:
        first: a figure of the first model for each image, or for each caption.
        second: the same of the second model, in the same order.
        images: number of the image each value belongs to, where an image has several (captions):
            they are one cluster. None means one value an image.
        unit: of the difference, as in ``Score``; "points" are differences of shares.
        bounds: least and greatest possible difference in another unit; None where nothing is
            known, which leaves no interval where all differences are equal.
        seed: of the draws.
    Raises:
        EvaluationError: no values.
    """
    _refuse_none(first)
    differences = first - second
    owners = np.arange(len(first)) if images is None else images
    if unit == "points":
        limits = difference_of_shares_limits(differences, owners)
    else:
        limits = mean_limits(differences, owners, bounds=bounds, seed=seed)
    return scored(float(differences.mean()), limits, len(first), unit=unit)


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
