"""Interval of the area under precision and recall (average precision) of two samples of images.

Positives and negatives are samples of their own. Leaving each image out in turn gives the area's
standard error, a sum of both samples' (stratified jackknife, Tukey 1958; Jones 1974), and an
estimate of its bias (Quenouille 1956): with few images the area found lies above that of endless
ones. The interval is the hull of the effective trials' around the area found and around the area
without the bias; near 1, where it may show no spread, of the rule of three's as well.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from eval.metrics.effective_trials import (
    EFFECTIVE,
    Limits,
    all_equal_limits,
    containing,
    effective_limits,
)

METHOD = f"{EFFECTIVE}, jackknife of both samples, with and without its bias"
FEW_IMAGES = f"{METHOD} (fewer than 20 on a side: covers at least 95%)"
NEAR_1 = f"{METHOD} and the rule of three (area near 1: covers at least 95%)"

_FEW = 20
_FEW_MISPLACED = 5

_Scores = Float64[np.ndarray, " scores"]


class _Counts(NamedTuple):
    """Images at each different score, scores descending."""

    positive: _Scores
    negative: _Scores


class _LeftOut(NamedTuple):
    """Area with all images, and without one image of each score."""

    area: float
    positive: _Scores
    negative: _Scores


def average_precision_limits(
    positive: Float64[np.ndarray, " positives"], negative: Float64[np.ndarray, " negatives"]
) -> Limits:
    """95% interval of the average precision (steps, images of equal score together).

    Args:
        positive: scores of the images that should score higher, at least one.
        negative: scores of the others, at least one.
    """
    counts = _counted(positive, negative)
    found = _left_out(counts)
    fewest = min(len(positive), len(negative))
    if fewest < 2:
        return all_equal_limits(found.area, units=1.0, bounds=(0.0, 1.0))
    variance, bias = 0.0, 0.0
    for own, without in ((counts.positive, found.positive), (counts.negative, found.negative)):
        size = float(own.sum())
        mean = float(own @ without) / size
        variance += (size - 1) / size * float(own @ (without - mean) ** 2)
        bias += (size - 1) * (mean - found.area)
    unbiased = min(max(found.area - bias, 0.0), 1.0)
    plain, moved = (
        effective_limits(area, math.sqrt(variance), units=float(fewest))
        for area in (found.area, unbiased)
    )
    if plain.method != EFFECTIVE:
        return plain
    low, high = min(plain.low, moved.low), max(plain.high, moved.high)
    method = FEW_IMAGES if fewest < _FEW else METHOD
    if fewest * (1 - found.area) < _FEW_MISPLACED:
        # The few that are out of order say little of their spread.
        equal = all_equal_limits(found.area, units=float(fewest), bounds=(0.0, 1.0))
        low, high, method = min(low, equal.low), max(high, equal.high), NEAR_1
    return containing(found.area, low, high, method)


def _counted(positive: np.ndarray, negative: np.ndarray) -> _Counts:
    places = np.unique(-np.concatenate([positive, negative]), return_inverse=True)[1]
    is_positive = np.arange(len(places)) < len(positive)
    return _Counts(
        np.bincount(places, weights=is_positive), np.bincount(places, weights=~is_positive)
    )


def _left_out(counts: _Counts) -> _LeftOut:
    """The area, and that without each image, in one pass.

    With h positives among the k images of a score or a higher one, the area of P positives is
    (1 / P) sum of p h / k over the scores, p being the positives of a score. Without a positive
    its own score adds (p - 1) (h - 1) / (k - 1) and every lower one p (h - 1) / (k - 1), of P - 1;
    without a negative its own and every lower one add p h / (k - 1).
    """
    own = counts.positive
    hits, passing = np.cumsum(own), np.cumsum(own + counts.negative)
    total = float(hits[-1])
    added = own * hits / passing
    before = np.cumsum(added) - added
    fewer = np.maximum(passing - 1, 1)
    lower = own * (hits - 1) / fewer
    same = (own - 1) * (hits - 1) / fewer
    without_positive = (before + same + lower.sum() - np.cumsum(lower)) / max(total - 1, 1)
    moved = own * hits / fewer
    without_negative = (before + moved + moved.sum() - np.cumsum(moved)) / total
    return _LeftOut(float(added.sum()) / total, without_positive, without_negative)
