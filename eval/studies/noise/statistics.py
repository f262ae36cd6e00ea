"""Figures of a study with intervals over seeds and queries.

All runs share one test set. A draw of the bootstrap takes test queries with replacement, the same
ones for every run and both directions; another takes the seeds, the same for all runs that have
the same seeds. Differences, ratios and shares are computed within a draw, so they are paired by
seed and query (the protocol of the specification's section 4). The variances of both add, and the
interval has the degrees of freedom of their sum (Satterthwaite 1946): two or three seeds say
little about another one. With one seed only the queries vary, and the interval does not cover
another training run.

A ratio is withheld where its denominator has fewer than ``LEAST_HITS`` hits a seed. The logarithm
of a ratio of two counts of n hits has a standard deviation of up to sqrt(2 / n) (Katz et al. 1978):
with 50 the 95% interval reaches from the 0.68-fold to the 1.48-fold; with 5 it reaches from the
0.29-fold to the 3.45-fold, and one draw in 150 has no hit to divide by.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float64

from eval.metrics.effective_trials import SHARE, Bounds
from eval.metrics.intervals import NUM_RESAMPLES
from eval.studies.estimates import Draws, Estimate, Part, estimate, seed_weights
from eval.studies.noise.grid import Cell
from eval.studies.noise.methods import oracle_of
from eval.studies.noise.records import SCORES, CellRecord

INTERVALS = (
    f"95% Student's t (shares: Korn-Graubard), variance of {NUM_RESAMPLES:,} bootstrap draws of "
    "test queries and of seeds, paired by both; with one seed over queries alone. Best and Best - "
    "Last: over seeds alone, none with one seed."
)

#: Hits a seed in the denominator of a ratio, at least.
LEAST_HITS = 50

_DRAWS_AT_ONCE = 100


class Statistics:
    """What the runs of a study amount to.

    Args:
        records: of one study.
        seed: of the draws.
    """

    def __init__(self, records: Sequence[CellRecord], *, seed: int = 0) -> None:
        self._records = {record.cell: record for record in records}
        self._seed = seed
        hits = [record.hits(score) for record in records for score in SCORES]
        columns = [(record.cell, score) for record in records for score in SCORES]
        self._num_queries = len(hits[0])
        drawn = np.concatenate(list(_query_draws(np.stack(hits).astype(np.float64), seed)))
        self._draws = {column: drawn[:, i] for i, column in enumerate(columns)}

    @property
    def methods(self) -> list[str]:
        """In the order of the runs."""
        return list(dict.fromkeys(cell.method for cell in self._records))

    @property
    def rates(self) -> list[float]:
        """Ascending."""
        return sorted({cell.rate for cell in self._records})

    def seeds(self, method: str, rate: float) -> list[int]:
        """Of the finished runs."""
        return sorted(c.seed for c in self._records if (c.method, c.rate) == (method, rate))

    def last(self, method: str, rate: float, score: str) -> Estimate | None:
        """Mean share by the last models; None where no run is finished."""
        return self._combined(lambda own: own, score, (method, rate), bounds=SHARE)

    def best(self, method: str, rate: float, score: str) -> Estimate | None:
        """Mean share by the evaluation that was best on the test set (``CellRecord.best``)."""
        return self._over_seeds(method, rate, lambda record: record.best(score))

    def start(self, method: str, rate: float, score: str) -> Estimate | None:
        """Mean share before training."""
        return self._over_seeds(method, rate, lambda record: record.start(score))

    def best_minus_last(self, method: str, rate: float) -> Estimate | None:
        """What the method loses of its best text-to-image R@1 by training to the end."""
        return self._over_seeds(
            method, rate, lambda record: record.best("r1_t2i") - record.last("r1_t2i")
        )

    def difference(
        self, first: str, second: str, rate: float, score: str, *, relative: bool = False
    ) -> Estimate | None:
        """First minus second of two methods; ``relative`` to the second (see the module)."""
        pair = ((first, rate), (second, rate))
        if relative:
            return self._to_last(lambda one, two: _ratio(one - two, two), score, *pair)
        return self._combined(lambda one, two: one - two, score, *pair)

    def retention(self, method: str, rate: float, score: str) -> Estimate | None:
        """What is left of the share without noise."""
        return self._to_last(_ratio, score, (method, rate), (method, 0.0))

    def share_of_oracle(self, method: str, rate: float, score: str) -> Estimate | None:
        """Relative to the oracle of the same architecture, at the same rate and seeds."""
        return self._to_last(_ratio, score, (method, rate), (oracle_of(method), rate))

    def _to_last(
        self, formula: Callable[..., Draws], score: str, *groups: tuple[str, float]
    ) -> Estimate | None:
        """A figure that divides by the last group, NaN where that one has too few hits."""
        found = self._combined(formula, score, *groups)
        if found is None or self._hits(groups[-1:], score, groups) >= LEAST_HITS:
            return found
        return Estimate(math.nan, math.nan, math.nan, found.num_seeds, found.hits)

    def _hits(
        self,
        counted: Sequence[tuple[str, float]],
        score: str,
        groups: Sequence[tuple[str, float]],
    ) -> float:
        """Fewest of the ``counted`` groups, mean over the seeds that all ``groups`` have."""
        seeds = self._common_seeds(groups)
        return min(
            float(np.mean([self._records[Cell(*group, seed)].hits(score).sum() for seed in seeds]))
            for group in counted
        )

    def _common_seeds(self, groups: Sequence[tuple[str, float]]) -> list[int]:
        return sorted(set.intersection(*(set(self.seeds(*group)) for group in groups)))

    def _combined(
        self,
        formula: Callable[..., Draws],
        score: str,
        *groups: tuple[str, float],
        bounds: Bounds = None,
    ) -> Estimate | None:
        seeds = self._common_seeds(groups)
        if not seeds:
            return None
        weights = seed_weights(len(seeds), self._seed)
        values, of_queries, of_seeds = [], [], []
        for method, rate in groups:
            cells = [Cell(method, rate, seed) for seed in seeds]
            own = np.array([self._records[cell].last(score) for cell in cells])
            values.append(np.array([own.mean()]))
            drawn = np.stack([self._draws[cell, score] for cell in cells], axis=1)
            of_queries.append(drawn.mean(axis=1))
            of_seeds.append(weights @ own)
        parts = (
            Part(formula(*of_queries), self._num_queries),
            Part(formula(*of_seeds), len(seeds)),
        )
        found = estimate(float(formula(*values)[0]), parts, len(seeds), bounds)
        return found._replace(hits=self._hits(groups, score, groups))

    def _over_seeds(
        self, method: str, rate: float, figure: Callable[[CellRecord], float]
    ) -> Estimate | None:
        seeds = self.seeds(method, rate)
        if not seeds:
            return None
        values = np.array([figure(self._records[Cell(method, rate, seed)]) for seed in seeds])
        if len(seeds) == 1:
            return Estimate(float(values[0]), math.nan, math.nan, 1)
        part = Part(seed_weights(len(seeds), self._seed) @ values, len(seeds))
        return estimate(float(values.mean()), (part,), len(seeds), None)


def _query_draws(
    hits: Float64[np.ndarray, "runs test"], seed: int
) -> Iterator[Float64[np.ndarray, "draws runs"]]:
    """Shares of hits among queries drawn with replacement, some draws at a time."""
    generator = np.random.default_rng([seed, 0])
    num_queries = hits.shape[1]
    for _ in range(NUM_RESAMPLES // _DRAWS_AT_ONCE):
        counts = generator.multinomial(
            num_queries, np.full(num_queries, 1 / num_queries), size=_DRAWS_AT_ONCE
        )
        yield counts @ hits.T / num_queries


def _ratio(one: Draws, two: Draws) -> Draws:
    return np.divide(one, two, out=np.full(len(one), math.nan), where=two > 0)
