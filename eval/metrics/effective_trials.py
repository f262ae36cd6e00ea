"""Intervals of figures that lie between bounds, from their standard error.

Korn and Graubard 1998 (Survey Methodology 24, 193): a share p with variance V is read as one of
n* = p (1 - p) / V independent trials, and has the interval of Clopper and Pearson for n* p hits of
n*. n* is made smaller by (z / t)^2, t being Student's with the degrees of freedom of V. Figures
between other bounds are mapped to [0, 1]; with the upper bound infinite the limits become those of
a Poisson count. Near a bound the interval is as lopsided as the figure's distribution, far from
both it is Student's.

Where V is 0 (all values equal), at most a share q = 1 - 0.025^(1/k) of the population can differ
from what k units have shown, wherever it lies between the bounds: the "rule of three".
"""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.stats import beta, gamma, norm, t

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2

#: Least and greatest value that is possible; None where nothing is known.
Bounds: TypeAlias = tuple[float, float] | None

SHARE = (0.0, 1.0)
POINTS = (-1.0, 1.0)
POSITIVE = (0.0, math.inf)

EFFECTIVE = "Korn-Graubard (effective trials)"
STUDENT = "Student's t"
ALL_EQUAL = "rule of three (all values equal: covers at least 95%)"
NO_INTERVAL = "no interval: "

_LEAST_SPREAD = 1e-12


class Limits(NamedTuple):
    """Ends of a 95% interval and what made them; NaN where there is no interval.

    Attributes:
        low, high: contain the value.
        method: its name, or why there is none.
    """

    low: float
    high: float
    method: str


def no_limits(reason: str) -> Limits:
    """No interval can be had."""
    return Limits(math.nan, math.nan, NO_INTERVAL + reason)


def effective_limits(
    value: float, standard_error: float, *, units: float, bounds: Bounds = SHARE
) -> Limits:
    """The interval of a figure that is about normal in large samples.

    Args:
        value: between the bounds.
        standard_error: 0 where the data show no spread.
        units: independent units behind the standard error; one less are its degrees of freedom.
        bounds: of the figure; None gives Student's interval.
    """
    scale = 1.0 if bounds is None or math.isinf(bounds[1]) else bounds[1] - bounds[0]
    if not math.isfinite(standard_error) or units <= 1 or standard_error <= _LEAST_SPREAD * scale:
        return all_equal_limits(value, units=max(units, 1.0), bounds=bounds)
    quantile = float(t.ppf(1 - TAIL, units - 1))
    if bounds is None:
        half = quantile * standard_error
        return Limits(value - half, value + half, STUDENT)
    shrunk = (float(norm.ppf(1 - TAIL)) / quantile) ** 2
    low, high = bounds
    if math.isinf(high):
        return _of_count(value - low, standard_error, shrunk, low)
    share, error = (value - low) / scale, standard_error / scale
    trials = share * (1 - share) / error**2 * shrunk
    # Rounding may leave a spread at a bound, where the formula has no trials.
    if not 0 < share < 1 or trials <= 0:
        return all_equal_limits(value, units=units, bounds=bounds)
    hits = share * trials
    ends = (
        float(beta.ppf(TAIL, hits, trials - hits + 1)),
        float(beta.ppf(1 - TAIL, hits + 1, trials - hits)),
    )
    return containing(value, low + scale * ends[0], low + scale * ends[1], EFFECTIVE)


def all_equal_limits(value: float, *, units: float, bounds: Bounds) -> Limits:
    """The interval where the units show no spread; none without bounds."""
    if bounds is None or math.isinf(bounds[1]):
        few = "one value alone" if units <= 1 else "all values are equal"
        return no_limits(f"{few}, and their range is not bounded")
    share = 1 - TAIL ** (1 / units)
    low, high = bounds
    return Limits(value - share * (value - low), value + share * (high - value), ALL_EQUAL)


def containing(value: float, low: float, high: float, method: str) -> Limits:
    """Limits that contain the value, against rounding."""
    return Limits(min(low, value), max(high, value), method)


def difference_limits(
    first: tuple[float, Limits], second: tuple[float, Limits], *, correlation: float = 0.0
) -> Limits:
    """First minus second: distances to the nearer limits add in quadrature.

    Zou and Donner 2008 (MOVER), Statistics in Medicine 27, 1693; with a correlation as in Newcombe
    1998, Statistics in Medicine 17, 2635, method 10.

    Args:
        first: a value and its interval.
        second: the same.
        correlation: of the two estimates.
    """
    (one, of_one), (two, of_two) = first, second
    below = _combined(one - of_one.low, of_two.high - two, correlation)
    above = _combined(of_one.high - one, two - of_two.low, correlation)
    method = of_one.method if of_one.method == of_two.method else EFFECTIVE
    return Limits(one - two - below, one - two + above, method)


def _combined(one: float, two: float, correlation: float) -> float:
    return math.sqrt(max(one * one - 2 * correlation * one * two + two * two, 0.0))


def _of_count(above: float, error: float, shrunk: float, low: float) -> Limits:
    """A figure of at least ``low``, read as a Poisson count of (value / error)^2."""
    if above <= 0:
        return no_limits("the value lies at its bound, and its range is not bounded above")
    count = (above / error) ** 2 * shrunk
    ends = gamma.ppf([TAIL, 1 - TAIL], np.array([count, count + 1])) / count
    return containing(low + above, low + above * ends[0], low + above * ends[1], EFFECTIVE)
