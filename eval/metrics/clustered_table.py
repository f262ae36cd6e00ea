"""Many means over the same rows, and their paired differences.

As ``clustered_mean`` and ``paired_means``, for named columns that share their clusters.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.clustered import clustered_mean
from eval.metrics.effective_trials import Bounds
from eval.metrics.paired import paired_means
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
        self._columns = {
            name: values for name, values in columns.items() if not np.isnan(values).all()
        }
        self._clusters = clusters
        self._seed = seed

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def score(
        self,
        name: str,
        *,
        unit: str = "share",
        bounds: Bounds = None,
        lower_is_better: bool = False,
    ) -> Score:
        """Mean of a column with its interval; KeyError where it has none."""
        values = self._columns[name]
        own = ~np.isnan(values)
        found = clustered_mean(
            values[own], self._clusters[own], seed=self._seed, unit=unit, bounds=bounds
        )
        return replace(found, lower_is_better=lower_is_better)

    def difference(
        self, first: str, second: str, *, unit: str = "points", lower_is_better: bool = False
    ) -> Score:
        """Mean of one column minus that of another, row by row where both have a value."""
        one, other = self._columns[first], self._columns[second]
        both = ~np.isnan(one) & ~np.isnan(other)
        found = paired_means(
            one[both], other[both], images=self._clusters[both], unit=unit, seed=self._seed
        )
        return replace(found, lower_is_better=lower_is_better)
