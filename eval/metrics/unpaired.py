"""Difference of two figures that come from different images."""

from eval.metrics.effective_trials import Limits, difference_limits
from eval.results import Score

NEWCOMBE = "Newcombe's interval for independent shares"
FEW = f"{NEWCOMBE} (fewer than 5 hits or misses: covers at least 95%)"

_FEW = 5


def independent_difference(first: Score, second: Score) -> Score:
    """First minus second, in points, with its 95% interval.

    Newcombe 1998, Statistics in Medicine 17, 873, method 10: the distances from each share to the
    limit of its own interval add in quadrature.

    Args:
        first: a share with its interval.
        second: the same on other images.
    Returns:
        In [-1, 1]; n is the smaller of the two.
    """
    limits = difference_limits(
        (first.value, Limits(first.low, first.high, NEWCOMBE)),
        (second.value, Limits(second.low, second.high, NEWCOMBE)),
    )
    low, high = max(-1.0, limits.low), min(1.0, limits.high)
    value, n = first.value - second.value, min(first.n, second.n)
    fewest = min(own.n * min(own.value, 1 - own.value) for own in (first, second))
    method = FEW if fewest < _FEW else NEWCOMBE
    return Score(value, low, high, n, unit="points", method=method)
