"""Accuracy where something about the picture is unusual: factors of variation.

ImageNet-X (Idrissi et al. 2022, arXiv 2211.01866): each image carries factors (pose, background,
...) that are active or not, several or just the most striking one; error ratio = error where the
factor is active / error over all annotated images. PUG (Bordes et al. 2023, arXiv 2308.03977):
each image has one level of a factor (one of 64 backgrounds, say); accuracy by level, and the best
minus the worst.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from eval.errors import EvaluationError
from eval.metrics.intervals import NUM_RESAMPLES, wilson_score
from eval.metrics.resampling import percentile_score
from eval.results import Score


class FactorScore(NamedTuple):
    """What one active factor does.

    Attributes:
        accuracy: over the images where it is active, with Wilson's interval.
        error_ratio: their error over that of all images, above 1 where the factor makes it worse,
            with a bootstrap interval over images; None where no image at all is wrong.
    """

    accuracy: Score
    error_ratio: Score | None


class LevelScores(NamedTuple):
    """What the levels of one factor do.

    Attributes:
        accuracy: by level, with Wilson's interval; levels without images are left out.
        spread: accuracy of the best level minus that of the worst, with a bootstrap interval over
            images within each level. It is 0 for no model on few images: the more levels and the
            fewer images, the larger chance alone makes it.
    """

    accuracy: dict[str, Score]
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
        seed: of the draws.
    Raises:
        EvaluationError: no images.
    """
    if not len(is_correct):
        raise EvaluationError("factors need at least one annotated image; check the annotations")
    return {
        name: FactorScore(wilson_score(is_correct[active]), _error_ratio(is_correct, active, seed))
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
        seed: of the draws.
    Raises:
        EvaluationError: no images.
    """
    if not len(is_correct):
        raise EvaluationError("levels of a factor need at least one image; check the data set")
    accuracy: dict[str, Score] = {
        str(names[level]): wilson_score(is_correct[levels == level])
        for level in np.unique(levels).tolist()
    }
    values = [score.value for score in accuracy.values()]
    generator = np.random.default_rng(seed)
    drawn = np.stack(
        [
            generator.binomial(score.n, score.value, size=NUM_RESAMPLES) / score.n
            for score in accuracy.values()
        ]
    )
    spread = max(values) - min(values)
    resampled = drawn.max(axis=0) - drawn.min(axis=0)
    score = percentile_score(
        spread, resampled, len(is_correct), unit="points", lower_is_better=True
    )
    return LevelScores(accuracy, score)


def _error_ratio(is_correct: np.ndarray, active: np.ndarray, seed: int) -> Score | None:
    """Images of a kind (wrong or not, active or not) are interchangeable in a resample."""
    if is_correct.all():
        return None
    n = len(is_correct)
    kinds = np.bincount(2 * ~is_correct + active, minlength=4)
    drawn = np.random.default_rng(seed).multinomial(n, kinds / n, size=NUM_RESAMPLES)
    value = _ratio(kinds[None, :])[0]
    return percentile_score(
        float(value), _ratio(drawn), int(active.sum()), unit="ratio", lower_is_better=True
    )


def _ratio(kinds: Int64[np.ndarray, "draws 4"]) -> Float64[np.ndarray, " draws"]:
    """NaN where no image is active, or none is wrong."""
    _, right_active, wrong, wrong_active = kinds.T
    num_active = right_active + wrong_active
    is_defined = (num_active > 0) & (wrong + wrong_active > 0)
    active_error = wrong_active / np.where(is_defined, num_active, 1)
    all_error = (wrong + wrong_active) / kinds.sum(axis=1)
    return np.where(is_defined, active_error / np.where(is_defined, all_error, 1), np.nan)
