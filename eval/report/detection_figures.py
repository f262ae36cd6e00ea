"""Plots of detectors: precision over recall by group."""

from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from eval.report.figures import COLOURS, STYLE, Picture, as_picture
from eval.results import EvalResult

_LEVELS = {"iou_50": "overlap of at least 0.5", "iou_75": "overlap of at least 0.75"}
_STYLES = ("-", "--", "-.", ":")


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
