"""Plots of several models. One panel a score, one row or point a model."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval.report.figures import (
    COLOURS,
    INK,
    MARKERS,
    NARROW,
    WIDE,
    Picture,
    in_both_widths,
    sentence,
)
from eval.report.model_labels import model_labels
from eval.report.sides import Comparison
from eval.report.tables import score_title, unit_sign
from eval.results import Score

_PANELS_A_ROW = 3


def models_figure(models: Sequence[str], comparisons: Sequence[Comparison]) -> Picture:
    """A panel for each score: the models below each other, with intervals."""
    labels = model_labels(models)

    def draw(is_narrow: bool) -> Figure:
        height = 0.9 + 0.32 * len(models)
        figure, panels = _grid(len(comparisons), height=height, is_narrow=is_narrow)
        for axes, comparison in zip(panels, comparisons, strict=True):
            for y, score in enumerate(reversed(comparison.scores)):
                if score is not None:
                    colour = COLOURS[(len(models) - 1 - y) % len(COLOURS)]
                    _point(axes, score, y, colour)
            _name_axis(axes, comparison)
            if comparison.chance is not None:
                axes.axvline(100 * comparison.chance, color=INK, linestyle="--", linewidth=1)
            axes.set_yticks(range(len(models)), list(reversed(labels)), color=INK)
            axes.tick_params(labelleft=_is_first_in_row(axes))
            axes.set_ylim(-0.6, len(models) - 0.4)
            axes.grid(axis="y", visible=False)
        return figure

    return in_both_widths(draw)


def against_accuracy_figure(
    models: Sequence[str],
    sources: Sequence[str],
    accuracy: Comparison,
    others: Sequence[Comparison],
) -> Picture:
    """A panel for each score: accuracy to the right, the score upwards, a colour a source."""
    labels = model_labels(models)
    colour_of = dict(zip(dict.fromkeys(sources), cycle(COLOURS), strict=False))

    def draw(is_narrow: bool) -> Figure:
        figure, panels = _grid(len(others), height=2.6, is_narrow=is_narrow)
        for axes, other in zip(panels, others, strict=True):
            for i, (x, y) in enumerate(zip(accuracy.scores, other.scores, strict=True)):
                if x is not None and y is not None:
                    value, below, above = _scaled(y)
                    axes.errorbar(
                        100 * x.value, value, yerr=[[below], [above]], capsize=3, ms=7,
                        color=colour_of[sources[i]], marker=MARKERS[i % len(MARKERS)],
                        linestyle="", label=labels[i],
                    )  # fmt: skip
            axes.set_title(
                sentence(score_title(other.subject.score, other.subject.benchmark)), fontsize=9
            )
            axes.set_xlabel("zero-shot top-1, %")
            some = next(score for score in other.scores if score is not None)
            axes.set_ylabel(f"{other.subject.dataset}  {unit_sign(some.unit)}".strip())
            axes.set_ylim(bottom=_auroc_floor(other))
        handles, shown = panels[0].get_legend_handles_labels()
        columns = 1 if is_narrow else min(3, len(shown))
        figure.legend(handles, shown, loc="outside lower center", ncols=columns)
        return figure

    return in_both_widths(draw)


def _grid(count: int, *, height: float, is_narrow: bool) -> tuple[Figure, list[Axes]]:
    columns = 1 if is_narrow else min(count, _PANELS_A_ROW)
    rows = -(-count // columns)
    figure = Figure(figsize=(NARROW if is_narrow else WIDE, 0.3 + height * rows))
    grid = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, list(grid[:count])


def _is_first_in_row(axes: Axes) -> bool:
    place = axes.get_subplotspec()
    return place is None or place.is_first_col()


def _point(axes: Axes, score: Score, y: int, colour: str) -> None:
    value, below, above = _scaled(score)
    axes.errorbar(
        value, y, xerr=[[below], [above]], color=colour, marker="o", ms=6, capsize=3, linewidth=1.6
    )


def _name_axis(axes: Axes, comparison: Comparison) -> None:
    some = next(score for score in comparison.scores if score is not None)
    axes.set_title(
        sentence(score_title(comparison.subject.score, comparison.subject.benchmark)), fontsize=9
    )
    better = "lower is better" if some.lower_is_better else ""
    sign = unit_sign(some.unit)
    parts = [comparison.subject.dataset, sign, better]
    axes.set_xlabel(", ".join(part for part in parts if part))
    axes.set_xlim(left=_auroc_floor(comparison))


def _auroc_floor(comparison: Comparison) -> float | None:
    """Where the axis of an AUROC begins: at chance, or at 0 where some are below; else None."""
    if "auroc" not in comparison.subject.score:
        return None
    lows = [score.low for score in comparison.scores if score is not None]
    return 50.0 if min(lows) >= 0.5 else 0.0


def _scaled(score: Score) -> tuple[float, float, float]:
    """Value and the lengths of its whiskers, shares and points times 100."""
    factor = 100 if score.unit in ("share", "points") else 1
    below = score.value - score.low if score.has_interval else 0.0
    above = score.high - score.value if score.has_interval else 0.0
    return factor * score.value, factor * max(below, 0), factor * max(above, 0)
