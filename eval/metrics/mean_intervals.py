"""Intervals of means of values that come in clusters, right for few clusters and at the bounds.

k is the number of clusters, an independent value being one of its own.

- Shares, k < ``FEW``: the bound of Gaffke 2005 (Learned-Miller and Thomas 2020, arXiv 1905.06208,
  equation 1): the weights of the clusters are uniform spacings, and one more cluster stands at the
  bound. It is Clopper and Pearson's interval where values are 0 and 1; for bounded values no case
  is known where it covers less than it says. It covers more.
- Otherwise the hull of two: effective trials with a cluster-robust standard error (CR2 and its
  degrees of freedom, Bell and McCaffrey 2002, Survey Methodology 28, 169), and, up to ``MANY``
  clusters, the bootstrap-t (Efron 1979; Hall 1988), which follows skewness, as far as it lies
  within Gaffke's bound.
- All values equal, or one cluster: the rule of three, or no interval where values have no bounds.
- Differences of shares: the means of gains and of losses, each between 0 and 1, combined with
  their correlation.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.effective_trials import (
    ALL_EQUAL,
    EFFECTIVE,
    SHARE,
    TAIL,
    Bounds,
    Limits,
    all_equal_limits,
    containing,
    difference_limits,
    effective_limits,
)

FEW, MANY = 20, 1000
NUM_RESAMPLES = 2000

GAFFKE = f"Gaffke's bound (fewer than {FEW} clusters; covers at least 95%)"
HULL = f"{EFFECTIVE} with bootstrap-t, {NUM_RESAMPLES} resamples"
GAINS_AND_LOSSES = f"gains and losses apart, {EFFECTIVE}"
FEW_GAINS_AND_LOSSES = f"{GAINS_AND_LOSSES} (fewer than 10 clusters differ: covers at least 95%)"

_FEW_DIFFERING = 10

_Clusters = Float64[np.ndarray, " clusters"]


class _Summed(NamedTuple):
    sums: _Clusters
    counts: _Clusters

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / self.counts.sum())

    @property
    def excess(self) -> _Clusters:
        """Sum of each cluster over what its values would give if they were the mean."""
        return self.sums - self.mean * self.counts


def mean_limits(
    values: Float64[np.ndarray, " values"],
    clusters: Int64[np.ndarray, " values"],
    *,
    bounds: Bounds,
    seed: int,
) -> Limits:
    """Interval of the mean of the values.

    Args:
        values: at least one, between the bounds.
        clusters: number of the cluster of each value.
        bounds: of a value; ``SHARE`` for shares; None where nothing is known.
        seed: of the draws.
    """
    summed = _summed(values, clusters)
    num_clusters = len(summed.counts)
    if np.ptp(values) <= 1e-12 * max(1.0, float(np.abs(values).max())):
        return all_equal_limits(float(values.mean()), units=float(num_clusters), bounds=bounds)
    if bounds is not None and (num_clusters == 1 or (num_clusters < FEW and bounds == SHARE)):
        return _gaffke(summed, bounds, seed)._replace(method=GAFFKE)
    if num_clusters == 1:
        return all_equal_limits(float(values.mean()), units=1.0, bounds=None)
    plain = _effective(summed, bounds)
    if num_clusters > MANY:
        return plain
    return _hull(summed, plain, bounds, seed)


def difference_of_shares_limits(
    differences: Float64[np.ndarray, " values"],
    clusters: Int64[np.ndarray, " values"],
    *,
    most: float = 1.0,
) -> Limits:
    """Interval of the mean of differences that are often 0.

    Args:
        differences: at least one.
        clusters: number of the cluster of each.
        most: their greatest possible size.
    """
    gains = _summed(np.maximum(differences, 0.0), clusters)
    losses = _summed(np.maximum(-differences, 0.0), clusters)
    one, two = (_effective(side, (0.0, most)) for side in (gains, losses))
    spread = math.sqrt(float((gains.excess**2).sum() * (losses.excess**2).sum()))
    together = float(gains.excess @ losses.excess)
    low, high, method = difference_limits(
        (gains.mean, one), (losses.mean, two), correlation=together / spread if spread else 0.0
    )
    num_differing = int(((gains.sums > 0) | (losses.sums > 0)).sum())
    name = FEW_GAINS_AND_LOSSES if num_differing < _FEW_DIFFERING else GAINS_AND_LOSSES
    name = ALL_EQUAL if method == ALL_EQUAL else name
    return containing(gains.mean - losses.mean, max(-most, low), min(most, high), name)


def _summed(values: np.ndarray, clusters: np.ndarray) -> _Summed:
    numbers = np.unique(clusters, return_inverse=True)[1]
    counts = np.bincount(numbers).astype(np.float64)
    return _Summed(np.bincount(numbers, weights=values), counts)


def _effective(summed: _Summed, bounds: Bounds) -> Limits:
    if len(summed.counts) == 1:
        return all_equal_limits(summed.mean, units=1.0, bounds=bounds)
    error, freedom = _robust_error(summed)
    if error == 0:
        return all_equal_limits(summed.mean, units=float(len(summed.counts)), bounds=bounds)
    return effective_limits(summed.mean, error, units=freedom + 1, bounds=bounds)


def _robust_error(summed: _Summed) -> tuple[float, float]:
    """CR2 standard error of the mean, and Bell and McCaffrey's degrees of freedom.

    Under independent values of equal variance the excess of cluster i has the covariance
    G_ij = c_i [i = j] - c_i c_j / c with that of cluster j, c being the number of values.
    """
    counts, total = summed.counts, float(summed.counts.sum())
    weights = 1 / ((1 - counts / total) * total**2)
    variance = float(weights @ summed.excess**2)
    squares = counts**2
    trace = float(weights @ (counts - squares / total))
    both = float(weights**2 @ (squares - 2 * counts**3 / total))
    both += float((weights @ squares) ** 2) / total**2
    return math.sqrt(variance), trace**2 / both


def _hull(summed: _Summed, plain: Limits, bounds: Bounds, seed: int) -> Limits:
    drawn = _bootstrap_t(summed, seed)
    low, high = drawn
    if bounds is not None and not math.isinf(bounds[1]):
        outer = _gaffke(summed, bounds, seed)
        low, high = max(low, outer.low), min(high, outer.high)
    elif bounds is not None:
        low = max(low, bounds[0])
    low = min(plain.low, low) if math.isfinite(low) else plain.low
    high = max(plain.high, high) if math.isfinite(high) else plain.high
    return containing(summed.mean, low, high, HULL if bounds is not None else _T_HULL)


_T_HULL = f"Student's t with bootstrap-t, {NUM_RESAMPLES} resamples"


def _bootstrap_t(summed: _Summed, seed: int) -> tuple[float, float]:
    """Ends of the bootstrap-t interval; infinite where resamples show no spread."""
    counts, excess = summed.counts, summed.excess
    num_clusters = len(counts)
    generator = np.random.default_rng(seed)
    even = np.full(num_clusters, 1 / num_clusters)
    drawn = generator.multinomial(num_clusters, even, size=NUM_RESAMPLES).astype(np.float64)
    columns = np.stack([excess, counts, excess**2, excess * counts, counts**2], axis=1)
    total, below, squares, mixed, weights = (drawn @ columns).T
    change = total / below
    spread = np.sqrt(np.maximum(squares - 2 * change * mixed + change**2 * weights, 0.0)) / below
    smallest = 1e-9 * math.sqrt(float(excess @ excess)) / float(counts.sum())
    spread[spread <= smallest] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = change / spread
    ratios[np.isnan(ratios)] = 0.0
    least, greatest = np.quantile(ratios, [TAIL, 1 - TAIL], method="closest_observation")
    error = math.sqrt(float(excess @ excess)) / float(counts.sum())
    return summed.mean - float(greatest) * error, summed.mean - float(least) * error


def _gaffke(summed: _Summed, bounds: tuple[float, float], seed: int) -> Limits:
    counts = summed.counts
    generator = np.random.default_rng(seed)
    drawn = generator.exponential(size=(NUM_RESAMPLES, len(counts) + 1))
    above, below = drawn[:, :-1] @ summed.sums, drawn[:, :-1] @ counts
    extra = drawn[:, -1] * counts.mean()
    ends = [
        float(np.quantile((above + extra * bound) / (below + extra), quantile))
        for bound, quantile in zip(bounds, (TAIL, 1 - TAIL), strict=True)
    ]
    return containing(summed.mean, ends[0], ends[1], GAFFKE)
