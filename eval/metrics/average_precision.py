"""Average precision of each class where an image shows several.

AP of a class = mean, over the images that show it, of the precision of the ranking down to that
image (Everingham et al. 2010, section 4.2, without their interpolation), by scikit-learn, which
takes images with equal scores as one step. mAP is the mean over the classes that some image
shows; CLIP_benchmark (metrics/zeroshot_classification.py) counts the others as 0, a difference
only where there are such.
"""

import numpy as np
from jaxtyping import Bool, Float, Float64
from sklearn.metrics import average_precision_score

from eval.errors import EvaluationError
from eval.metrics.resampling import image_weights, percentile_score
from eval.results import Score


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
    """mAP with its 95% bootstrap interval over images.

    A class that a resample does not show is left out of its mean.

    Args:
        scores: higher means that the class is more likely shown.
        is_shown: whether each image shows each class.
        seed: of the draws.
    Raises:
        EvaluationError: no image shows any class.
    """
    if not is_shown.any():
        raise EvaluationError("no image shows any class; check the npy members of the data set")
    value = float(np.nanmean(average_precisions(scores, is_shown)))
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked = np.take_along_axis(is_shown, order, axis=0)
    drawn = [_weighted(ranked, w[order]) for w in image_weights(len(scores), seed=seed)]
    return percentile_score(value, np.array(drawn), len(scores))


def chance_level(is_shown: Bool[np.ndarray, "images classes"]) -> float:
    """mAP of a random ranking of many images: the mean share of images that show a class."""
    return float(is_shown.mean(axis=0)[is_shown.any(axis=0)].mean())


def _weighted(ranked: np.ndarray, weights: np.ndarray) -> float:
    """mAP of a resample: each image as often as it was drawn, copies of one as one step."""
    hits = np.where(ranked, weights, 0)
    num_shown = hits.sum(axis=0)
    seen = np.maximum(np.cumsum(weights, axis=0), 1)
    precision = (hits * (np.cumsum(hits, axis=0) / seen)).sum(axis=0)
    present = num_shown > 0
    return float(np.mean(precision[present] / num_shown[present])) if present.any() else np.nan
