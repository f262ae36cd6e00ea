"""One of each picture, by the SHA-256 of its bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, add_firsts, filters


@filters.register("exact-duplicates")
@dataclass(frozen=True, kw_only=True)
class ExactDuplicates(SampleFilter):
    """Settings of exact deduplication.

    Args:
        with_caption: drop a picture only where the first caption is the same too, so that a
            picture with several captions in several samples keeps them all.
    """

    with_caption: bool = False

    def needs(self) -> tuple[str, ...]:
        """The hash, and the caption where it counts."""
        return ("sha256", "caption") if self.with_caption else ("sha256",)

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """All but the first in the order of shards and rows, with the uid of the first."""
        add_firsts(samples, "(sha256, caption)" if self.with_caption else "sha256")
        return [
            Rule(
                "same picture and caption" if self.with_caption else "same picture",
                "coalesce(id > first_id, false)",
                detail="first_uid",
            )
        ]
