"""Bootstrap over images for figures that are not means.

Images are drawn with replacement, as many as there are (Efron 1979). A resample is a weight for
each image, how often it was drawn, so that figures made of sums need no copies of the data, and
one resample is in memory at a time. Resamples give the standard error alone: their percentiles
cover too little where images are few, and nothing at a bound.
"""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.effective_trials import SHARE, Bounds, Limits, effective_limits, no_limits
from eval.metrics.intervals import NUM_RESAMPLES, scored
from eval.results import Score

_LARGEST_BATCH = 1_000_000  # numbers

BOOTSTRAP_ERROR = f"standard error of {NUM_RESAMPLES} bootstrap resamples"


def image_weights(num_images: int, *, seed: int) -> Iterator[Int64[np.ndarray, " images"]]:
    """How often each image is drawn, for each of ``NUM_RESAMPLES`` resamples."""
    generator = np.random.default_rng(seed)
    for _ in range(NUM_RESAMPLES):
        drawn = generator.integers(num_images, size=num_images)
        yield np.bincount(drawn, minlength=num_images)


def cell_draws(
    counts: Int64[np.ndarray, " cells"], *, seed: int
) -> Iterator[Int64[np.ndarray, "resamples cells"]]:
    """Resampled tables, ``NUM_RESAMPLES`` in all, in batches that fit into memory.

    Of figures made of a table's cells: images drawn with replacement fall into the cells
    multinomially.

    Args:
        counts: images of each cell, at least one in all.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    total = int(counts.sum())
    most = max(_LARGEST_BATCH // len(counts), 1)
    for start in range(0, NUM_RESAMPLES, most):
        yield generator.multinomial(total, counts / total, size=min(most, NUM_RESAMPLES - start))


def resampled_limits(
    value: float,
    resampled: Float64[np.ndarray, " resamples"],
    *,
    units: float,
    bounds: Bounds = SHARE,
) -> Limits:
    """The interval of ``effective_limits`` with the spread of resampled twins.

    Args:
        value: computed from the data as they are.
        resampled: the same figure of each resample; NaN where a resample does not define it.
        units: images (or clusters) drawn; their number less one are the degrees of freedom.
        bounds: of the figure.
    """
    defined = resampled[np.isfinite(resampled)]
    if len(defined) < len(resampled) / 2:
        return no_limits("most resamples do not define the figure")
    error = float(defined.std()) * math.sqrt(units / max(units - 1, 1))
    limits = effective_limits(value, error, units=units, bounds=bounds)
    if not math.isfinite(limits.low) or error == 0:
        return limits
    return limits._replace(method=f"{limits.method}, {BOOTSTRAP_ERROR}")


def resampled_score(
    value: float,
    resampled: Float64[np.ndarray, " resamples"],
    n: int,
    *,
    units: float | None = None,
    bounds: Bounds = SHARE,
    unit: str = "share",
    lower_is_better: bool = False,
) -> Score:
    """A value with the interval of ``resampled_limits``.

    Args:
        value: computed from the data as they are.
        resampled: the same figure of each resample.
        n: images behind the value.
        units: as in ``resampled_limits``; None takes ``n``.
        bounds: of the figure.
        unit: as in ``Score``.
        lower_is_better: as in ``Score``.
    """
    limits = resampled_limits(
        value, resampled, units=float(n) if units is None else units, bounds=bounds
    )
    return scored(value, limits, n, unit=unit, lower_is_better=lower_is_better)
