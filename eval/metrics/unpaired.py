"""Difference of two figures that come from different images."""

import math

from eval.results import Score

NEWCOMBE = "Newcombe's interval for independent shares"


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
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    n = min(first.n, second.n)
    return Score(value, max(-1.0, value - below), min(1.0, value + above), n, unit="points")
