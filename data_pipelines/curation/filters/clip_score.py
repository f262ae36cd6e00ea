"""Pairs whose picture and caption agree, by a CLIP's cosine or any other score column.

DataComp's top fraction (``apply_filter.py``): t is the value at index floor(f N), from 0, of the
scores in descending order, and what has t or more is kept, so that one sample more than f N and
all ties survive. Here f = 1 keeps all (there it ends in an IndexError), and N counts the samples
that have a score: NaN is dropped by a reason of its own, where there it counted in N.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters
from data_pipelines.errors import ConfigError


@filters.register("clip-score")
@dataclass(frozen=True, kw_only=True)
class ClipScore(SampleFilter):
    """Settings of a filter by score.

    Args:
        score: name of the score column (``vlsuite curate score --name``).
        threshold: least score that is kept.
        fraction: share of the samples with a score that is kept, the best ones; in place of
            threshold.
    """

    score: str = "clip"
    threshold: float | None = None
    fraction: float | None = None

    def __post_init__(self) -> None:
        if (self.threshold is None) == (self.fraction is None):
            raise ConfigError("filter 'clip-score' wants either threshold or fraction")
        if self.fraction is not None and not 0 < self.fraction <= 1:
            raise ConfigError(f"filter 'clip-score': fraction {self.fraction} is not in (0, 1]")

    def needs(self) -> tuple[str, ...]:
        """The score."""
        return (self.score,)

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """Without a score; below the threshold."""
        column = f'"{self.score}"'
        found = [Rule("no score", f"{column} IS NULL OR isnan({column})")]
        least = self.threshold if self.fraction is None else self._least(samples, column)
        if least is not None:
            found.append(Rule("score too low", f"NOT {column} >= {least!r}", column, repr(least)))
        return found

    def _least(self, samples: StageInput, column: str) -> float | None:
        scored = f"FROM {samples.relation} WHERE NOT isnan({column})"
        (number,) = samples.one(f"SELECT count(*) {scored}")
        if not number:
            return None
        assert self.fraction is not None
        place = min(int(self.fraction * number), number - 1)
        (least,) = samples.one(
            f"SELECT {column} {scored} ORDER BY {column} DESC LIMIT 1 OFFSET {place}"
        )
        return float(least)
