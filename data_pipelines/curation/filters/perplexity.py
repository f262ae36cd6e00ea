"""Captions that a language model finds likely: POINTS' filter by perplexity.

Liu et al. 2024, arXiv 2409.04828, section 3.2: PPL(s) = exp(-1/N sum_i log p(w_i | w_<i)) of the
text by a model that was trained already (with the picture, where the model sees it); samples sorted
by it in ascending order, the lowest 20% are kept. The lowest perplexity is also that of boilerplate
("image not available") and rare facts have a high one, so a band of the sorted samples can be
asked for, and what is left of each language and source is told.

N samples have a score; in ascending order from 0, the values at floor(q_lo N) and at
ceil(q_hi N) - 1 are the ends of what is kept, ties included.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters
from data_pipelines.curation.survival import SOURCE, record_survival
from data_pipelines.errors import ConfigError


@filters.register("perplexity")
@dataclass(frozen=True, kw_only=True)
class PerplexityBand(SampleFilter):
    """Which part of the samples, sorted by perplexity, is kept.

    Args:
        score: name of the column (``vlsuite curate score --scorer perplexity``).
        q_lo: share of the lowest ones that is dropped; POINTS drops none.
        q_hi: share below which samples are kept; POINTS' 0.2 by default.
    """

    score: str = "perplexity"
    q_lo: float = 0.0
    q_hi: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.q_lo < self.q_hi <= 1:
            raise ConfigError(
                f"filter 'perplexity': q_lo {self.q_lo} and q_hi {self.q_hi} are no band; choose "
                "0 <= q_lo < q_hi <= 1"
            )

    def needs(self) -> tuple[str, ...]:
        """The score."""
        return (self.score,)

    def wants(self) -> tuple[str, ...]:
        """What survival is told by."""
        return ("language", "source", "url")

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """Without a score; above the band; below it."""
        column = f'"{self.score}"'
        found = [Rule("no score", f"{column} IS NULL OR isnan({column})")]
        ends = self._ends(samples, column)
        if ends is None:
            return found
        low, high = ends
        found.append(Rule("perplexity too high", f"{column} > {high!r}", column, repr(high)))
        if self.q_lo > 0:
            found.append(Rule("perplexity too low", f"{column} < {low!r}", column, repr(low)))
        kept = f"NOT isnan({column}) AND {column} BETWEEN {low!r} AND {high!r}"
        if "language" in samples.columns:
            record_survival(samples, kept, by="language", called="language")
        record_survival(samples, kept, by=SOURCE, called="source")
        return found

    def _ends(self, samples: StageInput, column: str) -> tuple[float, float] | None:
        """Least and largest value that is kept; None where no sample has a score."""
        scored = f"FROM {samples.relation} WHERE NOT isnan({column})"
        (number,) = samples.one(f"SELECT count(*) {scored}")
        if not number:
            return None
        # a share such as 0.3 is stored a little too high: 10 of them are 3, not 4
        first = math.floor(self.q_lo * number + 1e-9)
        last = max(math.ceil(self.q_hi * number - 1e-9) - 1, first)
        low, high = (
            float(samples.one(f"SELECT {column} {scored} ORDER BY 1 LIMIT 1 OFFSET {place}")[0])
            for place in (min(first, number - 1), min(last, number - 1))
        )
        return low, high
