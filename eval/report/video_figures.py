"""Plots of evaluations on videos: accuracy by kind of question and by number of frames."""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.report.figures import COLOURS, INK, MARKERS, STYLE, Picture, as_picture, sentence
from eval.results import EvalResult

_BASELINE = "mean_pooled_"


def order_figure(results: Sequence[EvalResult]) -> Picture:
    """A row a kind of question; a colour a number of frames; hollow marks for the baseline.

    Args:
        results: of one model on one data set, each with another number of frames.
    """
    names = list(dict.fromkeys(name for r in results for name in r.scores if _is_shown(name)))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.4, 1.2 + 0.42 * len(names)))
        axes = figure.subplots()
        offsets = np.linspace(0.26, -0.26, len(results)) if len(results) > 1 else [0.0]
        for number, (result, offset) in enumerate(zip(results, offsets, strict=True)):
            label = f"{frames_of(result)} frames"
            look = (COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])
            for y, name in enumerate(reversed(names)):
                _mark(axes, result, name, y + offset, look, label if not y else "_nolegend_")
        for y, name in enumerate(reversed(names)):
            level = next((r.chance[name] for r in results if name in r.chance), None)
            if level is not None:
                axes.plot([100 * level] * 2, [y - 0.4, y + 0.4], color=INK, linewidth=1.2)
        axes.set_yticks(range(len(names)), [_title(name) for name in reversed(names)], color=INK)
        axes.set_xlim(0, 100)
        axes.set_xlabel("questions answered, %")
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
        return as_picture(figure)


def frames_of(result: EvalResult) -> int:
    """Frames that each clip was shown with."""
    sampling = result.details.get("sampling")
    number = sampling.get("num_frames") if isinstance(sampling, dict) else None
    return number if isinstance(number, int) else 0


def _is_shown(name: str) -> bool:
    return name.startswith(("accuracy", "text_score", "video_score", "group_score"))


def _mark(
    axes: Axes, result: EvalResult, name: str, y: float, look: tuple[str, str], label: str
) -> None:
    colour, marker = look
    if name in result.scores:
        own = result.scores[name]
        ends = 100 * np.nan_to_num([own.value - own.low, own.high - own.value])
        axes.errorbar(
            100 * own.value, y, xerr=np.maximum(ends, 0)[:, None], color=colour, marker=marker,
            ms=5, capsize=2, linewidth=1.3, linestyle="", label=label,
        )  # fmt: skip
    if f"{_BASELINE}{name}" in result.scores:
        value = 100 * result.scores[f"{_BASELINE}{name}"].value
        axes.plot(value, y, color=colour, marker=marker, ms=6, mfc="none", linestyle="")


def _title(name: str) -> str:
    kind = name.removeprefix("accuracy_")
    return sentence("all questions" if kind == "accuracy" else kind.replace("_", " "))
