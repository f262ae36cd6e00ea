"""Pictures within limits of their sides, their area and their shape."""

from collections.abc import Sequence
from dataclasses import dataclass

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters
from data_pipelines.curation.filters.caption_length import bounds
from data_pipelines.errors import ConfigError


@filters.register("picture-size")
@dataclass(frozen=True, kw_only=True)
class PictureSize(SampleFilter):
    """Limits of a picture; a limit that is not given is none.

    Args:
        min_side: pixels of the shorter side.
        max_pixels: width times height.
        max_aspect: longer side over shorter side.
        of: "original" for the picture before it was scaled for its shard, where json says so;
            "stored" for the one in the shard.
    """

    min_side: int | None = None
    max_pixels: int | None = None
    max_aspect: float | None = None
    of: str = "original"

    def __post_init__(self) -> None:
        if self.of not in ("original", "stored"):
            raise ConfigError(f"filter 'picture-size': of is '{self.of}', not original or stored")
        if all(one is None for one in (self.min_side, self.max_pixels, self.max_aspect)):
            raise ConfigError(
                "filter 'picture-size' has no limit; set min_side, max_pixels or max_aspect"
            )

    def needs(self) -> tuple[str, ...]:
        """The sides."""
        return self._sides()

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """Side, area, shape."""
        width, height = self._sides()
        short, long = f"least({width}, {height})", f"greatest({width}, {height})"
        return [
            *bounds("picture too small", short, least=self.min_side),
            *bounds("picture too large", f"({width}::BIGINT * {height})", most=self.max_pixels),
            *bounds("picture too long", f"({long} / {short})", most=self.max_aspect),
        ]

    def _sides(self) -> tuple[str, str]:
        prefix = "original_" if self.of == "original" else ""
        return f"{prefix}width", f"{prefix}height"
