"""Means of figures that come in clusters: captions of an image, pictures of a person."""

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.resampling import image_weights, percentile_score
from eval.results import Score


def clustered_mean(
    values: Float64[np.ndarray, " queries"],
    clusters: Int64[np.ndarray, " queries"],
    *,
    seed: int,
    unit: str = "share",
) -> Score:
    """Mean over queries; whole clusters are drawn with replacement.

    Args:
        values: at least one.
        clusters: number of the cluster of each value.
        seed: of the draws.
        unit: as in ``Score``.
    """
    numbers = np.unique(clusters, return_inverse=True)[1]
    sums, counts = np.bincount(numbers, weights=values), np.bincount(numbers)
    drawn = np.array([(w @ sums) / (w @ counts) for w in image_weights(len(counts), seed=seed)])
    return percentile_score(float(values.mean()), drawn, len(values), unit=unit)
