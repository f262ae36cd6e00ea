"""Average precision of each class where an image shows several.

AP of a class = mean, over the images that show it, of the precision of the ranking down to that
image (Everingham et al. 2010, section 4.2, without their interpolation), by scikit-learn, which
takes images with equal scores as one step. mAP is the mean over the classes that some image
shows; CLIP_benchmark (metrics/zeroshot_classification.py) counts the others as 0, a difference
only where there are such.
"""

import math

import numpy as np
from jaxtyping import Bool, Float, Float64
from sklearn.metrics import average_precision_score

from eval.errors import EvaluationError
from eval.metrics.effective_trials import (
    EFFECTIVE,
    SHARE,
    Limits,
    all_equal_limits,
    containing,
    effective_limits,
)
from eval.metrics.intervals import scored
from eval.results import Score

METHOD = f"jackknife over images, {EFFECTIVE}, with and without its bias"
OF_THIS_SIZE = "; few images a class: covers the mean over sets of this size"

_FEW = 20


def average_precisions(
    scores: Float[np.ndarray, "images classes"], is_shown: Bool[np.ndarray, "images classes"]
) -> Float64[np.ndarray, " classes"]:
    """AP of each class, in [0, 1]; NaN for a class that no image shows."""
    return np.array(
        [
            average_precision_score(shown, own) if shown.any() else np.nan
            for shown, own in zip(is_shown.T, scores.T, strict=True)
        ]
    )


def mean_average_precision(
    scores: Float[np.ndarray, "images classes"],
    is_shown: Bool[np.ndarray, "images classes"],
    *,
    seed: int,
) -> Score:
    """mAP with its 95% interval over images.

    The mAP of few images lies above that of many (a class of one picture at the second place of
    30 has 1/2 by chance alone). Leaving each image out in turn gives its standard error and an
    estimate of that bias (jackknife, Quenouille 1956, Tukey 1958). The interval is the hull of
    those around the mAP found and around the mAP without the bias: it covers the mean over other
    sets of this size and, where the jackknife can follow the bias, the mAP of endless images. With
    only a few images a class it cannot, and the method says so.

    Args:
        scores: higher means that the class is more likely shown.
        is_shown: whether each image shows each class.
        seed: not needed; kept with the others' settings.
    Raises:
        EvaluationError: no image shows any class.
    """
    if not is_shown.any():
        raise EvaluationError("no image shows any class; check the npy members of the data set")
    value = float(np.nanmean(average_precisions(scores, is_shown)))
    return scored(value, _limits(value, scores, is_shown), len(scores))


def _limits(value: float, scores: np.ndarray, is_shown: np.ndarray) -> Limits:
    without = _without_each(scores, is_shown)
    defined = without[~np.isnan(without)]
    units, shown = len(defined), is_shown.sum(axis=0)
    images = float(is_shown.any(axis=1).sum())
    if units < 2 or images < 2:
        return all_equal_limits(value, units=1.0, bounds=SHARE)
    spread = defined - defined.mean()
    error = math.sqrt((units - 1) / units * float(spread @ spread))
    unbiased = min(max(units * value - (units - 1) * float(defined.mean()), 0.0), 1.0)
    plain = effective_limits(value, error, units=images)
    moved = effective_limits(unbiased, error, units=images)
    few = shown[shown > 0].mean() < _FEW
    method = METHOD + (OF_THIS_SIZE if few else "")
    return containing(value, min(plain.low, moved.low), max(plain.high, moved.high), method)


def _without_each(scores: np.ndarray, is_shown: np.ndarray) -> Float64[np.ndarray, " images"]:
    """mAP of all images but one, for each; images with equal scores keep their order.

    With h_j images that show the class among the first j, AP = mean of h_j / j over those that
    do. Without the image at place r the later ones move up: h_j / (j - 1), or (h_j - 1) / (j - 1)
    where it showed the class.
    """
    num_images = len(scores)
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked = np.take_along_axis(is_shown, order, axis=0)
    hits = np.cumsum(ranked, axis=0)
    places = np.arange(1, num_images + 1)[:, None]
    before = np.cumsum(np.where(ranked, hits / places, 0.0), axis=0)
    earlier = np.maximum(places - 1, 1)
    moved = {gone: _later(np.where(ranked, (hits - gone) / earlier, 0.0)) for gone in (False, True)}
    kept_before = before - np.where(ranked, hits / places, 0.0)
    total = np.where(ranked, kept_before + moved[True], kept_before + moved[False])
    remaining = hits[-1] - ranked
    precisions = np.divide(total, remaining, out=np.full(total.shape, np.nan), where=remaining > 0)
    found = np.empty_like(precisions)
    np.put_along_axis(found, order, precisions, axis=0)
    present = ~np.isnan(found)
    counts = present.sum(axis=1)
    sums = np.where(present, found, 0.0).sum(axis=1)
    return np.divide(sums, counts, out=np.full(num_images, np.nan), where=counts > 0)


def _later(parts: np.ndarray) -> np.ndarray:
    """Sum of the parts after each row."""
    return parts.sum(axis=0) - np.cumsum(parts, axis=0)


def chance_level(is_shown: Bool[np.ndarray, "images classes"]) -> float:
    """mAP of a random ranking of many images: the mean share of images that show a class."""
    return float(is_shown.mean(axis=0)[is_shown.any(axis=0)].mean())
