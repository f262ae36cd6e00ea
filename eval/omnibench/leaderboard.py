"""OmniBench's published figures, as facts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_FILE = "leaderboard.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class PublishedRow:
    """One model in one setting.

    Attributes:
        model: name with size.
        kind: as published: "open_source_olm" and "proprietary_olm" hear and see, "vlmalm" do one.
        setting: our name of the setting.
        cells: percent by category, and "overall".
    """

    model: str
    kind: str
    setting: str
    cells: Mapping[str, float]

    @property
    def overall(self) -> float:
        """Percent of all questions, as published."""
        return self.cells["overall"]

    @property
    def is_full(self) -> bool:
        """Whether the categories are given too."""
        return len(self.cells) > 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Leaderboard:
    """All published rows.

    Attributes:
        sources: where the figures are from.
        sizes: questions in each category, by axis ("audio_type", "task_type").
        rows: in published order.
        readme: percent by model and setting in the table of the README, which differs.
    """

    sources: Mapping[str, str]
    sizes: Mapping[str, Mapping[str, int]]
    rows: tuple[PublishedRow, ...]
    readme: Mapping[str, Mapping[str, float]]

    @property
    def num_questions(self) -> int:
        """Of the whole benchmark."""
        return sum(self.sizes["audio_type"].values())


@cache
def published() -> Leaderboard:
    """The figures stored beside this module."""
    data = json.loads(resources.files("eval.omnibench").joinpath(_FILE).read_text("utf-8"))
    rows = tuple(
        PublishedRow(model=row["model"], kind=row["kind"], setting=setting, cells=cells)
        for row in data["rows"]
        for setting, cells in row["settings"].items()
    )
    return Leaderboard(
        sources=data["sources"], sizes=data["sizes"], rows=rows, readme=data["readme"]
    )
