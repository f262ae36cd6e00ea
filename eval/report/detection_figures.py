"""Plots and tables of detectors: precision over recall by group, and every class in a row."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from eval.report.figures import COLOURS, STYLE, Picture, as_picture
from eval.results import EvalResult

_LEVELS = {"iou_50": "overlap of at least 0.5", "iou_75": "overlap of at least 0.75"}
_STYLES = ("-", "--", "-.", ":")


class ClassRow(NamedTuple):
    """One class: all texts, ready to print."""

    name: str
    group: str
    regions: str
    cells: tuple[str, ...]


class ClassTable(NamedTuple):
    """Every class with a marked region, the worst first."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[ClassRow, ...]


def has_curves(result: EvalResult) -> bool:
    """Whether a result is that of a detector."""
    return result.family == "detection" and isinstance(result.details.get("curves"), dict)


def curves_figure(result: EvalResult) -> Picture:
    """A panel a level of overlap; a colour a group, a line a kind of region."""
    regions: Any = result.details["curves"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.4, 4.2))
        for axes, (level, title) in zip(figure.subplots(1, 2), _LEVELS.items(), strict=True):
            for line, (region, groups) in zip(_STYLES, regions.items(), strict=False):
                for colour, (group, curves) in zip(COLOURS, groups.items(), strict=False):
                    values = np.asarray(curves[level], dtype=np.float64)
                    label = f"{region.replace('_', ' ')}, {group}"
                    axes.plot(np.linspace(0, 100, len(values)), 100 * values, line,
                              color=colour, label=label)  # fmt: skip
            axes.set(title=title, xlim=(0, 100), ylim=(0, 101), xlabel="recall, %")
            axes.set_ylabel("precision, %")
            handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
        return as_picture(figure)


def class_tables(results: Sequence[EvalResult]) -> Iterator[ClassTable]:
    """A table a result and kind of region."""
    for result in results:
        regions = result.details.get("classes")
        if result.family != "detection" or not isinstance(regions, dict):
            continue
        for region, listed in regions.items():
            rows: list[dict[str, Any]] = [one for one in listed if isinstance(one, dict)]
            if not rows:
                continue
            figures = [name for name in rows[0] if name.startswith(("ap", "ar"))]
            rows.sort(key=lambda row: (row["ap"], row["name"]))
            yield ClassTable(
                f"{result.model} on {result.dataset}: {region.replace('_', ' ')}",
                tuple(f"{name.upper().replace('_', ' at ')}, %" for name in figures),
                tuple(
                    ClassRow(
                        str(row["name"]),
                        str(row["group"]),
                        f"{row['regions']:,}",
                        tuple(f"{100 * row[name]:.1f}" for name in figures),
                    )
                    for row in rows
                ),
            )
