"""Wilson's interval of a share."""

import math
from typing import NamedTuple


class ShareInterval(NamedTuple):
    """Ends of an interval; they contain the share."""

    low: float
    high: float


def wilson_interval(hits: int, trials: int, *, quantile: float) -> ShareInterval:
    """The shares p for which (p - share)^2 <= z^2 p (1 - p) / n (Wilson 1927).

    Args:
        hits: among the trials.
        trials: n, at least one.
        quantile: z of the normal distribution; 1.96 for 95%.
    """
    share, below = hits / trials, 1 + quantile * quantile / trials
    middle = (share + quantile * quantile / (2 * trials)) / below
    spread = share * (1 - share) / trials + (quantile / trials) ** 2 / 4
    half = quantile / below * math.sqrt(spread)
    return ShareInterval(
        max(middle - half, 0.0) if hits else 0.0,
        min(middle + half, 1.0) if hits < trials else 1.0,
    )
