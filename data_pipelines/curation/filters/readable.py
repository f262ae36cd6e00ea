"""What a scan found nothing wrong with, and one sample of each uid: how every run begins."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipelines.curation.columns import GOOD
from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, add_firsts, filters


@filters.register("readable")
@dataclass(frozen=True, kw_only=True)
class Readable(SampleFilter):
    """It has no settings: every run begins with it, whatever its recipe says."""

    def needs(self) -> tuple[str, ...]:
        """The verdicts."""
        return ("verdict", "caption_verdict")

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """By the verdict on the picture, by that on the caption, and second samples of a uid."""
        good = f"verdict = '{GOOD}' AND caption_verdict = '{GOOD}'"
        add_firsts(samples, "uid", among=good)
        return [
            Rule("", f"verdict != '{GOOD}'", detail="verdict"),
            Rule("", f"caption_verdict != '{GOOD}'", detail="caption_verdict"),
            Rule(
                "repeated uid",
                "coalesce(id > first_id, false)",
                detail="'first in ' || first_shard || ', row ' || first_row",
            ),
        ]
