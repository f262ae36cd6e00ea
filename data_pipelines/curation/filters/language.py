"""Captions in some languages only."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters, quoted
from data_pipelines.curation.languages import SHORT_CAPTION
from data_pipelines.errors import ConfigError


@filters.register("language")
@dataclass(frozen=True, kw_only=True)
class LanguageFilter(SampleFilter):
    """Settings of the language filter.

    Args:
        languages: codes that pass ("en").
        min_score: least probability that the library itself gives; 0 takes what it says.
        min_chars: captions below this many characters pass unjudged; 0 judges all.
    """

    languages: tuple[str, ...] = ("en",)
    min_score: float = 0.0
    min_chars: int = 0

    def __post_init__(self) -> None:
        if not self.languages or not 0 <= self.min_score <= 1 or self.min_chars < 0:
            raise ConfigError(
                "filter 'language' wants one language or more, min_score from 0 to 1 and "
                "min_chars of 0 or more"
            )

    def needs(self) -> tuple[str, ...]:
        """Columns of a scan with ``--language``."""
        return ("language", "language_score", "caption_chars")

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """Other languages, then those the library is unsure of."""
        warn_of_short_captions(samples)
        listed = ", ".join(map(quoted, self.languages))
        judged = f"caption_chars >= {self.min_chars}"
        return [
            Rule(
                "other language",
                f"{judged} AND coalesce(language NOT IN ({listed}), true)",
                "language_score",
                detail="language",
            ),
            Rule(
                "language unsure",
                f"{judged} AND coalesce(NOT language_score >= {self.min_score!r}, true)",
                "language_score",
                repr(self.min_score),
                "language",
            ),
        ]


def warn_of_short_captions(samples: StageInput) -> None:
    """Say how many of the captions are too short to tell their language."""
    total, short = samples.one(
        f"SELECT count(*), count(*) FILTER (caption_chars < {SHORT_CAPTION}) "
        f"FROM {samples.relation}"
    )
    if short:
        samples.warn(
            f"{short:,} of {total:,} captions have fewer than {SHORT_CAPTION} characters, where "
            "the best library tells the language right in 72% of the cases: see what was dropped "
            "there before you trust this gate"
        )
