"""Accuracy where something about the picture is unusual: factors of variation.

ImageNet-X (Idrissi et al. 2022, arXiv 2211.01866): each image carries factors (pose, background,
...) that are active or not, several or just the most striking one; error ratio = error where the
factor is active / error over all annotated images. PUG (Bordes et al. 2023, arXiv 2308.03977):
each image has one level of a factor (one of 64 backgrounds, say); accuracy by level, and the best
minus the worst.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from eval.errors import EvaluationError
from eval.metrics.effective_trials import Limits
from eval.metrics.extremes import Group, maximum_limits, minimum_limits, spread_limits
from eval.metrics.intervals import scored, wilson_limits, wilson_score
from eval.results import Score

RATIO = "MOVER-R of Wilson's intervals"
FEW_WRONG = f"{RATIO} (fewer than 5 wrong or right on a side: covers at least 95%)"

_FEW = 5


class FactorScore(NamedTuple):
    """What one active factor does.

    Attributes:
        accuracy: over the images where it is active, with Wilson's interval.
        error_ratio: their error over that of all images, above 1 where the factor makes it worse,
            with its interval; None where no image at all is wrong.
    """

    accuracy: Score
    error_ratio: Score | None


class LevelScores(NamedTuple):
    """What the levels of one factor do.

    Attributes:
        accuracy: by level, with Wilson's interval; levels without images are left out.
        worst, best: the lowest and the highest of these; their intervals are of the levels that
            are truly worst and best (``eval.metrics.extremes``).
        spread: best minus worst. It is 0 for no model on few images: the more levels and the
            fewer images, the larger chance alone makes it; its interval takes that into account.
    """

    accuracy: dict[str, Score]
    worst: Score
    best: Score
    spread: Score


def factor_scores(
    is_correct: Bool[np.ndarray, " images"],
    is_active: Bool[np.ndarray, "images factors"],
    factors: Sequence[str],
    *,
    seed: int,
) -> dict[str, FactorScore]:
    """Accuracy and error ratio of each factor that is active in some image.

    Args:
        is_correct: of every annotated image; leave out the prototypes, as ImageNet-X does.
        is_active: one column a factor. With one True a row it is the reading by top factor.
        factors: names of the columns.
        seed: not needed; kept with the others' settings.
    Raises:
        EvaluationError: no images.
    """
    if not len(is_correct):
        raise EvaluationError("factors need at least one annotated image; check the annotations")
    return {
        name: FactorScore(wilson_score(is_correct[active]), _error_ratio(is_correct, active))
        for name, active in zip(factors, is_active.T, strict=True)
        if active.any()
    }


def worst_factor(scores: dict[str, FactorScore]) -> str:
    """The factor with the lowest accuracy; of equal ones the first."""
    return min(scores, key=lambda name: scores[name].accuracy.value)


def level_scores(
    is_correct: Bool[np.ndarray, " images"],
    levels: Int64[np.ndarray, " images"],
    names: Sequence[str],
    *,
    seed: int,
) -> LevelScores:
    """Accuracy at each level of a factor, and how far the levels lie apart.

    Args:
        is_correct: of every image.
        levels: place in ``names`` of each image's level.
        names: of the levels.
        seed: not needed; kept with the others' settings.
    Raises:
        EvaluationError: no images.
    """
    if not len(is_correct):
        raise EvaluationError("levels of a factor need at least one image; check the data set")
    accuracy: dict[str, Score] = {
        str(names[level]): wilson_score(is_correct[levels == level])
        for level in np.unique(levels).tolist()
    }
    known = list(accuracy.values())
    worst = min(known, key=lambda score: score.value)
    best = max(known, key=lambda score: score.value)
    counted = [Group(round(score.value * score.n), score.n) for score in known]
    return LevelScores(
        accuracy,
        scored(worst.value, minimum_limits(counted), worst.n),
        scored(best.value, maximum_limits(counted), best.n),
        scored(
            best.value - worst.value,
            spread_limits(counted),
            len(is_correct),
            unit="points",
            lower_is_better=True,
        ),
    )


def _error_ratio(is_correct: np.ndarray, active: np.ndarray) -> Score | None:
    """Error over active images by that over all; its interval is made of that of e1 / e0.

    e1 and e0 are the errors where the factor is active and where it is not, f the share of active
    images: the ratio is r / (f r + 1 - f) with r = e1 / e0, which grows with r.
    """
    if is_correct.all():
        return None
    wrong = ~is_correct
    value, f = float(wrong[active].mean() / wrong.mean()), float(active.mean())
    if active.all():
        limits = Limits(1.0, 1.0, "exactly 1: the factor is active in every image")
    else:
        limits = _ratio_limits(wrong[active], wrong[~active])
        low, high = (_over_all(r, f) for r in limits[:2])
        limits = Limits(min(low, value), max(high, value), limits.method)
    return scored(value, limits, int(active.sum()), unit="ratio", lower_is_better=True)


def _over_all(ratio: float, f: float) -> float:
    return 1 / f if math.isinf(ratio) else ratio / (f * ratio + 1 - f)


def _ratio_limits(first: np.ndarray, second: np.ndarray) -> Limits:
    """Interval of the ratio of two independent shares from Wilson's of each.

    Donner and Zou 2012, Statistics in Medicine 31, 1461, equation 9 (MOVER-R).
    """
    (one, two), (of_one, of_two) = (
        [float(side.mean()) for side in (first, second)],
        [wilson_limits(int(side.sum()), len(side)) for side in (first, second)],
    )
    product = one * two

    def root(a: float, b: float) -> float:
        return math.sqrt(max(product**2 - a * (2 * one - a) * b * (2 * two - b), 0.0))

    below = of_two.high * (2 * two - of_two.high)
    above = of_two.low * (2 * two - of_two.low)
    low = (product - root(of_one.low, of_two.high)) / below if abs(below) > 1e-15 else 0.0
    high = (product + root(of_one.high, of_two.low)) / above if above > 1e-15 else math.inf
    fewest = min(min(int(side.sum()), int((~side).sum())) for side in (first, second))
    return Limits(max(low, 0.0), high, FEW_WRONG if fewest < _FEW else RATIO)
