"""Bootstrap over images for figures that are not shares of independent trials.

Images are drawn with replacement, as many as there are (Efron 1979). A resample is a weight for
each image, how often it was drawn, so that figures made of sums need no copies of the data, and
one resample is in memory at a time.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.intervals import CONFIDENCE, NUM_RESAMPLES
from eval.results import Score

TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


def image_weights(num_images: int, *, seed: int) -> Iterator[Int64[np.ndarray, " images"]]:
    """How often each image is drawn, for each of ``NUM_RESAMPLES`` resamples."""
    generator = np.random.default_rng(seed)
    for _ in range(NUM_RESAMPLES):
        drawn = generator.integers(num_images, size=num_images)
        yield np.bincount(drawn, minlength=num_images)


def percentile_score(
    value: float,
    resampled: Float64[np.ndarray, " resamples"],
    n: int,
    *,
    unit: str = "share",
    lower_is_better: bool = False,
) -> Score:
    """The value with the percentile interval of its resampled twins, widened to contain it.

    Args:
        value: computed from the data as they are.
        resampled: the same figure of each resample; NaN where a resample does not define it.
        n: images behind the value.
        unit: as in ``Score``.
        lower_is_better: as in ``Score``.
    """
    defined = resampled[~np.isnan(resampled)]
    if not len(defined):
        return Score(value, value, value, n, unit, lower_is_better)
    low, high = np.quantile(defined, TAILS).tolist()
    return Score(value, min(low, value), max(high, value), n, unit, lower_is_better)
