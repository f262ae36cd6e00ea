"""Pictures whose makers or servers forbid that models are trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters, quoted
from data_pipelines.errors import ConfigError


@filters.register("opt-out")
@dataclass(frozen=True, kw_only=True)
class OptOut(SampleFilter):
    """What counts as a refusal; what nothing is known of passes.

    Args:
        directives: of the header X-Robots-Tag, whichever crawler it speaks to; empty leaves the
            header out.
        embedded: heed the property "Data Mining" in the picture's XMP: all of its values that
            begin with "prohibited".
    """

    directives: tuple[str, ...] = ("noai", "noimageai", "noindex", "noimageindex")
    embedded: bool = True

    def __post_init__(self) -> None:
        if not self.directives and not self.embedded:
            raise ConfigError("filter 'opt-out' heeds nothing; set directives, or embedded = true")

    def needs(self) -> tuple[str, ...]:
        """Both columns."""
        return ("robots_tag", "data_mining")

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """By the header, by the picture."""
        found = []
        if self.directives:
            listed = ", ".join(quoted(one.lower()) for one in self.directives)
            words = "regexp_extract_all(lower(robots_tag), '[a-z_-]+')"
            found.append(
                Rule(
                    "forbidden by its server",
                    f"coalesce(list_has_any({words}, [{listed}]), false)",
                    detail="robots_tag",
                )
            )
        if self.embedded:
            found.append(
                Rule(
                    "forbidden in the picture",
                    "coalesce(starts_with(data_mining, 'prohibited'), false)",
                    detail="data_mining",
                )
            )
        return found
