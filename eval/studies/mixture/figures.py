"""Plots of a study, drawn from its summary."""

from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.report.figures import COLOURS, MARKERS, STYLE
from eval.studies.mixture.lines import as_accuracy, transformed
from eval.studies.report import Plate

Summary = Mapping[str, Any]

_TICKS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.97, 0.99, 0.997)
_ROOM = 0.15  # beside the outermost points, on the transformed axes
_LARGE = 10**9  # pictures; with so many the correction of ``transformed`` cannot be seen


def plates(summary: Summary) -> list[Plate]:
    """One a shifted test that some mixture has a line for."""
    return [
        Plate(
            f"line-{test}",
            f"Accuracy on {test} against {summary['reference']}, by what was trained on",
            f"Points are evaluations along training, all seeds; {summary['scale']} axes. Sources "
            "alone are drawn through, mixtures dashed. The gray line is where both are alike.",
            _figure(summary, test),
        )
        for test in summary["shifts"]
        if any(found["lines"][test] for found in summary["results"].values())
    ]


def _figure(summary: Summary, test: str) -> Figure:
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 5.2))
        axes = figure.subplots()
        every = []
        for place, (mixture, found) in enumerate(summary["results"].items()):
            line = found["lines"][test]
            if line is not None:
                points = np.array(line["points"])
                every.append(points)
                _draw(axes, points, line, place, mixture, is_mixed=len(found["shares"]) > 1)
        joined = np.concatenate(every)
        low, high = joined.min(axis=0) - _ROOM, joined.max(axis=0) + _ROOM
        ends = (max(low), min(high))
        if ends[0] < ends[1]:
            axes.plot(ends, ends, color="#9aa5b1", linewidth=1.0, zorder=0)
        _label(axes, summary, test, low, high)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        return figure


def _draw(
    axes: Axes, points: np.ndarray, line: Mapping, place: int, label: str, *, is_mixed: bool
) -> None:
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    axes.plot(*points.T, marker, color=colour, ms=4, alpha=0.65, linestyle="none")
    ends = np.array([points[:, 0].min(), points[:, 0].max()])
    heights = line["intercept"]["value"] + line["slope"]["value"] * ends
    axes.plot(
        ends, heights, color=colour, marker=marker, ms=0, linewidth=1.8,
        linestyle="--" if is_mixed else "-", label=label,
    )  # fmt: skip


def _label(axes: Axes, summary: Summary, test: str, low: np.ndarray, high: np.ndarray) -> None:
    scale = summary["scale"]
    places = transformed(np.array(_TICKS), _LARGE, scale)
    for axis, first, last in ((axes.xaxis, low[0], high[0]), (axes.yaxis, low[1], high[1])):
        shown = [place for place in places.tolist() if first <= place <= last]
        axis.set_ticks(shown, [f"{100 * as_accuracy(place, scale):.3g}" for place in shown])
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_xlabel(f"accuracy on {summary['reference']}, %")
    axes.set_ylabel(f"accuracy on {test}, %")
