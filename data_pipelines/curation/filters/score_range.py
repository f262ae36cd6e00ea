"""Samples whose score lies within limits: no watermark, not too strange."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters
from data_pipelines.errors import ConfigError


@filters.register("score-range")
@dataclass(frozen=True, kw_only=True)
class ScoreRange(SampleFilter):
    """Limits of a score; both count as within.

    Args:
        score: name of the score column (``vlsuite curate score --name``).
        least: lowest score that is kept.
        most: highest score that is kept.
    """

    score: str
    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if self.least is None and self.most is None:
            raise ConfigError("filter 'score-range' has no limit; set least or most")

    def needs(self) -> tuple[str, ...]:
        """The score."""
        return (self.score,)

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """Without a score; below; above."""
        column = f'"{self.score}"'
        found = [Rule("no score", f"{column} IS NULL OR isnan({column})")]
        if self.least is not None:
            low = repr(self.least)
            found.append(Rule("score too low", f"NOT {column} >= {low}", column, low))
        if self.most is not None:
            high = repr(self.most)
            found.append(Rule("score too high", f"NOT {column} <= {high}", column, high))
        return found
