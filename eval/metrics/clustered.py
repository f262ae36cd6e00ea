"""Means of figures that come in clusters: captions of an image, pictures of a person."""

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.effective_trials import SHARE, Bounds
from eval.metrics.intervals import mean_score
from eval.results import Score


def clustered_mean(
    values: Float64[np.ndarray, " queries"],
    clusters: Int64[np.ndarray, " queries"],
    *,
    seed: int,
    unit: str = "share",
    bounds: Bounds = None,
) -> Score:
    """Mean over queries with the interval of ``eval.metrics.mean_intervals``.

    Args:
        values: at least one.
        clusters: number of the cluster of each value.
        seed: of the draws.
        unit: as in ``Score``.
        bounds: least and greatest possible value; None takes [0, 1] for shares and nothing for
            other units, which then have no interval where all values are equal.
    """
    known = SHARE if unit == "share" and bounds is None else bounds
    return mean_score(values, clusters, seed=seed, unit=unit, bounds=known)
