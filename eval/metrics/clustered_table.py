"""Many means over the same rows, with one set of bootstrap draws for all of them.

As ``clustered_mean`` and ``paired_means``, but the clusters are drawn once and every figure is
computed from the same draws: a table of a hundred figures costs little more than one, and
differences of figures are paired.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.resampling import image_weights, percentile_score
from eval.results import Score


class ClusteredTable:
    """Means of named columns over rows that come in clusters.

    Args:
        columns: a value a row; NaN where a row is not in the figure. A column without any value
            has no score.
        clusters: number of the cluster of each row; rows of one are drawn together.
        seed: of the draws.
    """

    def __init__(
        self,
        columns: Mapping[str, Float64[np.ndarray, " rows"]],
        clusters: Int64[np.ndarray, " rows"],
        *,
        seed: int,
    ) -> None:
        kept = {name: values for name, values in columns.items() if not np.isnan(values).all()}
        numbers = np.unique(clusters, return_inverse=True)[1]
        num_clusters = int(numbers.max()) + 1 if len(numbers) else 0
        self._names = {name: place for place, name in enumerate(kept)}
        sums, counts = (np.zeros((num_clusters, len(kept))) for _ in range(2))
        for place, values in enumerate(kept.values()):
            has_value = ~np.isnan(values)
            own = numbers[has_value]
            sums[:, place] = np.bincount(own, values[has_value], num_clusters)
            counts[:, place] = np.bincount(own, minlength=num_clusters)
        self._counts = counts.sum(axis=0)
        self._means = sums.sum(axis=0) / np.maximum(self._counts, 1)
        self._drawn = _drawn(sums, counts, seed) if kept else np.zeros((0, 0))

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def score(self, name: str, *, unit: str = "share", lower_is_better: bool = False) -> Score:
        """Mean of a column with its interval; KeyError where it has none."""
        place = self._names[name]
        return percentile_score(
            float(self._means[place]),
            self._drawn[:, place],
            int(self._counts[place]),
            unit=unit,
            lower_is_better=lower_is_better,
        )

    def difference(
        self, first: str, second: str, *, unit: str = "points", lower_is_better: bool = False
    ) -> Score:
        """Mean of one column minus that of another, from the same draws."""
        one, other = self._names[first], self._names[second]
        return percentile_score(
            float(self._means[one] - self._means[other]),
            self._drawn[:, one] - self._drawn[:, other],
            int(min(self._counts[one], self._counts[other])),
            unit=unit,
            lower_is_better=lower_is_better,
        )

    def ratio(self, first: str, second: str, *, unit: str = "ratio") -> Score:
        """Mean of one column over that of another, from the same draws; the other is not 0."""
        one, other = self._names[first], self._names[second]
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = self._drawn[:, one] / self._drawn[:, other]
        drawn[~np.isfinite(drawn)] = np.nan
        value = float(self._means[one] / self._means[other])
        return percentile_score(value, drawn, int(self._counts[one]), unit=unit)


def _drawn(
    sums: Float64[np.ndarray, "clusters figures"],
    counts: Float64[np.ndarray, "clusters figures"],
    seed: int,
) -> Float64[np.ndarray, "resamples figures"]:
    rows = []
    for weights in image_weights(len(sums), seed=seed):
        below = weights @ counts
        rows.append(
            np.divide(weights @ sums, below, out=np.full_like(below, np.nan), where=below > 0)
        )
    return np.array(rows)
