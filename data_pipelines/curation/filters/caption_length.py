"""Captions within limits of characters and words, as training reads them."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters
from data_pipelines.errors import ConfigError


@filters.register("caption-length")
@dataclass(frozen=True, kw_only=True)
class CaptionLength(SampleFilter):
    """Limits of a caption; a limit that is not given is none.

    Args:
        min_chars, max_chars: code points.
        min_words, max_words: of ``str.split``.
    """

    min_chars: int | None = None
    max_chars: int | None = None
    min_words: int | None = None
    max_words: int | None = None

    def __post_init__(self) -> None:
        limits = (self.min_chars, self.max_chars, self.min_words, self.max_words)
        if all(limit is None for limit in limits):
            raise ConfigError(
                "filter 'caption-length' has no limit; set min_chars, max_chars, min_words or "
                "max_words"
            )

    def needs(self) -> tuple[str, ...]:
        """Both counts."""
        return ("caption_chars", "caption_words")

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """Characters, then words."""
        return [
            *bounds("caption too short (characters)", "caption_chars", least=self.min_chars),
            *bounds("caption too long (characters)", "caption_chars", most=self.max_chars),
            *bounds("caption too short (words)", "caption_words", least=self.min_words),
            *bounds("caption too long (words)", "caption_words", most=self.max_words),
        ]


def bounds(
    reason: str, column: str, *, least: int | float | None = None, most: int | float | None = None
) -> list[Rule]:
    """The rule for a limit of a column; none where there is no limit."""
    if least is not None:
        return [Rule(reason, f"NOT {column} >= {least!r}", column, repr(least))]
    return [] if most is None else [Rule(reason, f"NOT {column} <= {most!r}", column, repr(most))]
