"""Captions in some languages only."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters, quoted
from data_pipelines.curation.languages import SHORT_CAPTION
from data_pipelines.curation.survival import record_survival
from data_pipelines.errors import ConfigError

_LENGTH = f"""CASE WHEN caption_chars < {SHORT_CAPTION} THEN 'below {SHORT_CAPTION}'
    WHEN caption_chars <= 60 THEN '{SHORT_CAPTION} to 60' ELSE 'above 60' END"""


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
        listed = ", ".join(map(quoted, self.languages))
        judged = f"caption_chars >= {self.min_chars}"
        other = f"{judged} AND coalesce(language NOT IN ({listed}), true)"
        unsure = f"{judged} AND coalesce(NOT language_score >= {self.min_score!r}, true)"
        tell_of_short_captions(
            samples, dropped=f"({other}) OR ({unsure})", judged_from=self.min_chars
        )
        return [
            Rule("other language", other, "language_score", detail="language"),
            Rule("language unsure", unsure, "language_score", repr(self.min_score), "language"),
        ]


def tell_of_short_captions(samples: StageInput, *, dropped: str, judged_from: int = 0) -> None:
    """Record what a language gate keeps by length of caption, and warn of short captions.

    Args:
        dropped: expression that is true where the gate drops a sample.
        judged_from: characters; what is shorter the gate lets pass.
    """
    record_survival(samples, f"NOT ({dropped})", by=_LENGTH, called="characters of the caption")
    total, short = samples.one(
        f"""SELECT count(*),
            count(*) FILTER (caption_chars >= {judged_from} AND caption_chars < {SHORT_CAPTION})
        FROM {samples.relation}"""
    )
    if short:
        samples.warn(
            f"{short:,} of {total:,} captions have fewer than {SHORT_CAPTION} characters, where "
            "the best library tells the language right in 72% of the cases: see what was dropped "
            "there before you trust this gate"
        )
