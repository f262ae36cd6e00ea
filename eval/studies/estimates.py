"""Figures of a study with intervals over several sources of spread: seeds and what was tested.

The variances of the sources add, and the interval has the degrees of freedom of their sum
(Satterthwaite 1946): two or three seeds say little about another one.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from eval.metrics.effective_trials import Bounds, effective_limits
from eval.metrics.intervals import NUM_RESAMPLES

Draws = Float64[np.ndarray, " draws"]


class Estimate(NamedTuple):
    """A figure with its 95% interval; NaN where it is not defined.

    Attributes:
        value: the mean over seeds, or what was made of such means.
        low, high: ends of the interval.
        num_seeds: common to all runs behind it.
        hits: mean over seeds of the queries answered rightly, in the group that has the fewest;
            None for figures that are not made of such.
    """

    value: float
    low: float
    high: float
    num_seeds: int
    hits: float | None = None

    def to_dict(self) -> dict[str, float | int | None]:
        """For JSON, which has no NaN."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        shown = {name: v if math.isfinite(v) else None for name, v in numbers.items()}
        known = {} if self.hits is None else {"hits": round(self.hits, 1)}
        return {**shown, "seeds": self.num_seeds, **known}


class Part(NamedTuple):
    """Draws of one source of variance, and how many units were drawn."""

    draws: Draws
    units: int

    @property
    def variance(self) -> float:
        """NaN where most draws do not define the figure, 0 where nothing varies."""
        defined = self.draws[np.isfinite(self.draws)]
        if len(defined) < len(self.draws) / 2:
            return math.nan
        return float(defined.var()) * self.units / (self.units - 1) if self.units > 1 else 0.0


def seed_weights(num_seeds: int, seed: int) -> Float64[np.ndarray, "draws seeds"]:
    """Share of each seed in each draw.

    Args:
        num_seeds: drawn from, with replacement.
        seed: of the draws.
    """
    generator = np.random.default_rng([seed, 1, num_seeds])
    counts = generator.multinomial(num_seeds, np.full(num_seeds, 1 / num_seeds), size=NUM_RESAMPLES)
    return counts / num_seeds


def estimate(value: float, parts: Sequence[Part], num_seeds: int, bounds: Bounds) -> Estimate:
    """A figure with the interval of all its sources of spread.

    Args:
        value: of the whole.
        parts: draws of each source.
        num_seeds: behind it.
        bounds: of the figure; None for Student's interval.
    """
    variances = [part.variance for part in parts]
    total = math.fsum(variances)
    if not math.isfinite(value) or not math.isfinite(total):
        return Estimate(value, math.nan, math.nan, num_seeds)
    below = math.fsum(
        own**2 / (part.units - 1)
        for own, part in zip(variances, parts, strict=True)
        if part.units > 1
    )
    freedom = total**2 / below if below > 0 else max(part.units for part in parts) - 1.0
    limits = effective_limits(value, math.sqrt(total), units=freedom + 1, bounds=bounds)
    return Estimate(value, limits.low, limits.high, num_seeds)
