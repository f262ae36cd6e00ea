"""Intervals of the least and the greatest of several groups' accuracies, and of their distance.

The worst of several measured groups is worse than the worst true one: it was selected. So the true
minimum is bounded with the limits of Clopper and Pearson 1934 of every group.

- Lower limit: the least of the groups' own one-sided 97.5% limits. The group that is truly worst
  is one of them, so no correction is due.
- Upper limit: the least of the upper limits, each corrected for their number (Sidak 1967): all of
  them hold together in 97.5% of samples.

The distance of best and worst is the greatest of all pairs' differences, so the same holds for it:
the greatest of their upper limits, and the greatest of their lower limits, these corrected for the
number of pairs (Bonferroni). A pair's limits are those of both groups, added in quadrature (Zou
and Donner 2008).

The interval covers the accuracy of the group that is truly worst, whichever that is, in at least
95% of samples; more where several groups are about as bad.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.stats import beta

from eval.metrics.effective_trials import TAIL, Limits

MINIMUM = "Clopper-Pearson of every group, upper limits with Sidak's correction (at least 95%)"
MAXIMUM = "Clopper-Pearson of every group, lower limits with Sidak's correction (at least 95%)"
SPREAD = "MOVER of every pair of groups, lower limits with Bonferroni's correction (at least 95%)"


class Group(NamedTuple):
    """Hits among the trials of one group, at least one trial."""

    hits: int
    trials: int


def minimum_limits(groups: Sequence[Group]) -> Limits:
    """Interval of the least true share of hits; at least one group."""
    corrected = 1 - (1 - TAIL) ** (1 / len(groups))
    return Limits(
        min(_lower(group, TAIL) for group in groups),
        min(_upper(group, corrected) for group in groups),
        MINIMUM if len(groups) > 1 else "Clopper-Pearson",
    )


def maximum_limits(groups: Sequence[Group]) -> Limits:
    """Interval of the greatest true share of hits; at least one group."""
    turned = minimum_limits([Group(trials - hits, trials) for hits, trials in groups])
    method = MAXIMUM if len(groups) > 1 else turned.method
    return Limits(1 - turned.high, 1 - turned.low, method)


def spread_limits(groups: Sequence[Group]) -> Limits:
    """Interval of the greatest true share minus the least; at least one group."""
    if len(groups) == 1:
        return Limits(0.0, 0.0, "exactly 0: one level")
    shares = np.array([hits / trials for hits, trials in groups])
    between = shares[:, None] - shares[None, :]

    def reach(tail: float) -> Float64[np.ndarray, "groups groups"]:
        """How far each difference may lie above the true one."""
        below = shares - np.array([_lower(group, tail) for group in groups])
        above = np.array([_upper(group, tail) for group in groups]) - shares
        return np.hypot(below[:, None], above[None, :])

    corrected = TAIL / (len(groups) * (len(groups) - 1))
    low = float((between - reach(corrected)).max())
    return Limits(max(0.0, low), min(1.0, float((between + reach(TAIL).T).max())), SPREAD)


def _lower(group: Group, tail: float) -> float:
    hits, trials = group
    return float(beta.ppf(tail, hits, trials - hits + 1)) if hits else 0.0


def _upper(group: Group, tail: float) -> float:
    hits, trials = group
    return float(beta.ppf(1 - tail, hits + 1, trials - hits)) if hits < trials else 1.0
