"""Plots of evaluations on videos: accuracy by kind, by number of frames, and against the cost."""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from data_pipelines.texts import counted
from eval.report.clip_costs import BASELINE, cost_of, frames_of
from eval.report.figures import COLOURS, INK, MARKERS, STYLE, Picture, as_picture, sentence
from eval.report.tables import score_title
from eval.results import EvalResult, Score

#: Settings of a reduction in few characters.
_REDUCTIONS = {"temporal_pool": "time/", "spatial_pool": "side/", "sample_every": "1 of "}
_AXES = {"tokens": "visual tokens of a clip", "seconds": "seconds of the model, a clip"}


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
            label = counted(frames_of(result), "frame")
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


def cost_figure(results: Sequence[EvalResult], score: str) -> Picture:
    """A score against visual tokens and against seconds of a clip, a line a model.

    Filled marks are models, hollow ones on broken lines their mean-pooled image towers; whiskers
    are 95% intervals. A panel is left out where no result knows its cost.

    Args:
        results: of one data set; see ``curves_of``.
        score: drawn upwards, a share.
    """
    curves = curves_of(results, score)
    names = list(dict.fromkeys(curve.name for curve in curves))
    shown = [axis for axis in _AXES if any(axis in curve.by_axis for curve in curves)]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.4, 4.0))
        panels = np.atleast_1d(figure.subplots(1, len(shown), sharey=True))
        for axes, axis in zip(panels, shown, strict=True):
            for curve in curves:
                _draw_curve(axes, curve, axis, names.index(curve.name))
            level = next((r.chance[score] for r in results if score in r.chance), None)
            if level is not None:
                axes.axhline(100 * level, color=INK, linewidth=1.0, linestyle=":", label="chance")
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: f"{cost:,g}"))
            axes.set_xlabel(_AXES[axis])
        panels[0].set_ylabel(f"{score_title(score, results[0].benchmark)}, %")
        found = [axes.get_legend_handles_labels() for axes in panels]
        entries = {label: handle for own in found for handle, label in zip(*own, strict=True)}
        figure.legend(
            list(entries.values()),
            list(entries),
            loc="outside lower center",
            ncols=min(3, len(entries)),
        )
        return as_picture(figure)


class CostPoint(NamedTuple):
    """A result in a plot.

    Attributes:
        x: the cost.
        score: of the result.
        frames: of the clip.
        reduction: what is left of its tokens, in few characters; empty for all.
    """

    x: float
    score: Score
    frames: int
    reduction: str


class CostCurve(NamedTuple):
    """Results of one model; axes that nothing is known of are left out.

    Attributes:
        name: of the model.
        is_baseline: whether it is the mean of the pictures.
        by_axis: points by "tokens" and "seconds", in order.
    """

    name: str
    is_baseline: bool
    by_axis: dict[str, list[CostPoint]]


def curves_of(results: Sequence[EvalResult], score: str) -> list[CostCurve]:
    """Results with a cost, by model: those of one curve differ in frames or reduction alone."""
    curves = []
    names = dict.fromkeys(result.model for result in results)
    for name, is_baseline in [(n, False) for n in names] + [(n, True) for n in names]:
        full = f"{BASELINE}{score}" if is_baseline else score
        by_axis: dict[str, list[CostPoint]] = {}
        for result in results:
            if result.model != name or full not in result.scores:
                continue
            cost = cost_of(result, is_baseline=is_baseline)
            for axis, value in (("tokens", cost.tokens), ("seconds", cost.seconds)):
                if value:
                    point = CostPoint(
                        float(value), result.scores[full], frames_of(result), _reduction(result)
                    )
                    by_axis.setdefault(axis, []).append(point)
        for points in by_axis.values():
            points.sort(key=lambda point: point.x)
        if by_axis:
            curves.append(CostCurve(name, is_baseline, by_axis))
    return curves


def _reduction(result: EvalResult) -> str:
    settings = ((words, result.details.get(name)) for name, words in _REDUCTIONS.items())
    return " ".join(f"{words}{value}" for words, value in settings if value not in (None, 0, 1))


def _labels(points: Sequence[CostPoint]) -> list[str]:
    """What each point differs from the others of its curve in."""
    same_frames = len({point.frames for point in points}) == 1
    same_reduction = len({point.reduction for point in points}) == 1
    return [
        " ".join(
            part
            for part, is_same in (
                (f"{point.frames}f", same_frames and not same_reduction),
                (point.reduction or "all", same_reduction),
            )
            if not is_same
        )
        for point in points
    ]


def _draw_curve(axes: Axes, curve: CostCurve, axis: str, number: int) -> None:
    points = curve.by_axis.get(axis)
    if not points:
        return
    values = np.array([(p.x, p.score.value, p.score.low, p.score.high) for p in points])
    x, value, low, high = values.T
    ends = 100 * np.maximum(np.nan_to_num(np.stack([value - low, high - value])), 0)
    kind = ", mean-pooled image tower" if curve.is_baseline else ""
    axes.errorbar(
        x, 100 * value, yerr=ends, color=COLOURS[number % len(COLOURS)],
        marker=MARKERS[number % len(MARKERS)], mfc="none" if curve.is_baseline else None, ms=5,
        capsize=2, linewidth=1.3, linestyle="--" if curve.is_baseline else "-",
        label=f"{curve.name}{kind}",
    )  # fmt: skip
    if not curve.is_baseline:
        for point, label in zip(points, _labels(points), strict=True):
            axes.annotate(
                label, (point.x, 100 * point.score.value), xytext=(3, 5),
                textcoords="offset points", fontsize=7.5, color=INK,
            )  # fmt: skip


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
    if f"{BASELINE}{name}" in result.scores:
        value = 100 * result.scores[f"{BASELINE}{name}"].value
        axes.plot(value, y, color=colour, marker=marker, ms=6, mfc="none", linestyle="")


def _title(name: str) -> str:
    kind = name.removeprefix("accuracy_")
    return sentence("all questions" if kind == "accuracy" else kind.replace("_", " "))
