"""Plots of a report. Colours are Okabe and Ito's, safe for colour-blind readers and in print."""

import base64
import io
import math
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from eval.report.record import TRAIN_COLUMNS, EvalPoint, TrainCurves
from eval.report.tables import score_title
from eval.results import EvalResult
from eval.tasks import facts_named

_BLUE, _VERMILLION, _GREEN, _PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
COLOURS = (_BLUE, _VERMILLION, _GREEN, _PURPLE, "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, _MUTED, _GRID = "#1f2933", "#5f6b7a", "#e3e7ec"

STYLE: dict[Any, Any] = {
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa5b1",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "legend.frameon": False,
    "svg.hashsalt": "vlsuite",
    "figure.constrained_layout.use": True,
}

#: Longest curve drawn point by point; longer ones are averaged in this many groups.
POINTS_SHOWN = 400

#: A curve is smoothed over windows of this part of it (one twentieth); shorter ones are not.
_WINDOWS = 20
LEAST_SMOOTHED = 2 * _WINDOWS
SMOOTHING_NOTE = "Bold: means over a twentieth of the curve around each point; faint: records."

_CHANCE_LABEL = "chance"
_MOST_BARS = 6  # pairs of bars whose names can be read side by side


#: Inches of a plot on a desk and on a phone.
WIDE, NARROW = 9.4, 4.4


class Picture(NamedTuple):
    """A plot ready for an ``img`` element: its ``data:`` address and its size in pixels.

    Attributes:
        narrow: address of the same drawn for a phone; empty where it is not.
    """

    address: str
    width: int
    height: int
    narrow: str = ""


def in_both_widths(draw: Callable[[bool], Figure]) -> Picture:
    """A plot for wide pages that is another one on a phone.

    Args:
        draw: told whether the plot is for a phone.
    """
    with matplotlib.rc_context(STYLE):
        picture = as_picture(draw(False))
        return picture._replace(narrow=as_picture(draw(True)).address)


def training_figure(train: TrainCurves) -> Picture:
    """Loss, learning rate, scalars of the objective and speed over samples seen."""
    if is_last_cut_short(train):
        train = {name: column[:-1] for name, column in train.items()}
    scalars = [name for name in train if name not in TRAIN_COLUMNS]
    panels = {
        "loss": ("Loss", "nats"),
        "learning_rate": ("Learning rate", ""),
        **{name: (name.replace("_", " ").capitalize(), "") for name in scalars},
        "samples_per_s": ("Speed", "samples/s"),
    }
    if "logit_scale" in panels:
        panels["logit_scale"] = ("Logit scale", "multiplier")

    def draw(is_narrow: bool) -> Figure:
        columns = 1 if is_narrow else -(-len(panels) // 2)
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(NARROW, 0.5 + 1.6 * rows) if is_narrow else (WIDE, 5.0))
        grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, (column, (title, unit)) in zip(grid.flat, panels.items(), strict=False):
            _curve(axes, train["samples_seen"], train[column])
            axes.set_title(title)
            axes.set_ylabel(unit or title.lower())
            if column == "samples_per_s":
                axes.set_ylim(bottom=0)
        for column in grid.T:
            lowest = [axes for axes in column if axes.get_visible()][-1]
            lowest.set_xlabel("samples seen")
            lowest.tick_params(labelbottom=True)
        return figure

    return in_both_widths(draw)


def evaluation_figure(evals: Sequence[EvalPoint], scores: Sequence[str]) -> Picture:
    """Chosen scores over samples seen, one panel a score and one line a data set."""

    def draw(is_narrow: bool) -> Figure:
        shape = (len(scores), 1) if is_narrow else (1, len(scores))
        figure = Figure(figsize=(NARROW, 0.9 + 2.3 * shape[0]) if is_narrow else (WIDE, 3.3))
        panels = np.atleast_1d(figure.subplots(*shape, sharey=True))
        for axes, score in zip(panels, scores, strict=True):
            for (label, lines), colour, marker in zip(
                _lines(evals, score).items(), cycle(COLOURS), cycle(MARKERS), strict=False
            ):
                seen = lines[0]
                value, low, high, chance = 100 * lines[1:]
                axes.fill_between(seen, low, high, color=colour, alpha=0.15, linewidth=0)
                axes.plot(seen, value, color=colour, marker=marker, ms=4, label=label)
                axes.plot(seen, chance, color=colour, linestyle=":", linewidth=1.2)
            axes.set_title(sentence(score_title(score)))
            axes.set_xlabel("samples seen")
            _count_axis(axes)
        for axes in panels if is_narrow else panels[:1]:
            axes.set_ylabel("score, %")
        panels[0].set_ylim(bottom=0)
        handles, labels = panels[0].get_legend_handles_labels()
        columns = 1 if is_narrow else min(4, len(labels))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        return figure

    return in_both_widths(draw)


def overview_figure(results: Sequence[EvalResult], scores: Sequence[str]) -> Picture:
    """One row a data set: each score as a point with its interval, chance as a tick."""
    rows = [r for r in results if any(score in r.scores for score in scores)]

    def draw(is_narrow: bool) -> Figure:
        legend = 0.2 * len(scores) if is_narrow else 0.0
        width = NARROW if is_narrow else WIDE
        figure = Figure(figsize=(width, 0.9 + legend + 0.5 * len(rows)))
        axes = figure.subplots()
        offsets = np.linspace(0.16, -0.16, len(scores)) if len(scores) > 1 else [0.0]
        for score, offset, colour, marker in zip(scores, offsets, COLOURS, MARKERS, strict=False):
            title = sentence(score_title(score))
            for y, result in enumerate(reversed(rows)):
                if score not in result.scores:
                    continue
                found = result.scores[score]
                low, high = 100 * np.nan_to_num([found.value - found.low, found.high - found.value])
                axes.errorbar(
                    100 * found.value, y + offset, xerr=[[max(low, 0)], [max(high, 0)]],
                    color=colour, marker=marker, ms=6, capsize=3, linewidth=1.6, label=title,
                )  # fmt: skip
                _chance_tick(axes, 100 * result.chance.get(score, math.nan), y + offset)
                title = "_nolegend_"
        axes.set_yticks(range(len(rows)), [dataset_label(r) for r in reversed(rows)], color=INK)
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlim(left=0)
        axes.set_xlabel("score, %")
        axes.grid(axis="y", visible=False)
        _legend_with_chance(axes, figure, is_narrow=is_narrow)
        return figure

    return in_both_widths(draw)


def shifted_scores(base: EvalResult, shifted: EvalResult) -> list[str]:
    """The shares that both have; of many the headlines of their task alone."""
    names = [
        name
        for name, score in base.scores.items()
        if name in shifted.scores and score.unit == "share"
    ]
    if len(names) <= _MOST_BARS:
        return names
    headlines = facts_named(base.benchmark).headlines
    return [name for name in headlines if name in names] or names[:_MOST_BARS]


def shift_figure(base: EvalResult, shifted: EvalResult) -> Picture:
    """The same model on a data set and on its shifted form, bars side by side with intervals.

    Args:
        base, shifted: results of one task that share some of ``shifted_scores``.
    """
    names = shifted_scores(base, shifted)

    def draw(is_narrow: bool) -> Figure:
        figure = Figure(figsize=(NARROW, 3.6) if is_narrow else (WIDE, 3.4))
        axes = figure.subplots()
        width = 0.38
        for side, result, colour, hatch in (
            (-0.5, base, _BLUE, ""),
            (0.5, shifted, _VERMILLION, "//"),
        ):
            at = np.arange(len(names)) + side * width
            value = np.array([result.scores[n].value for n in names])
            low = np.array([result.scores[n].low for n in names])
            high = np.array([result.scores[n].high for n in names])
            errors = 100 * np.nan_to_num(np.maximum(np.stack([value - low, high - value]), 0))
            axes.bar(
                at, 100 * value, width, color=colour, hatch=hatch, edgecolor="white",
                label=dataset_label(result), yerr=errors,
                error_kw={"ecolor": INK, "capsize": 3, "elinewidth": 1.1},
            )  # fmt: skip
            for x, name in zip(at, names, strict=True):
                level = 100 * result.chance.get(name, math.nan)
                axes.hlines(level, x - width / 2, x + width / 2, colors=INK, linestyles="--", lw=1)
        axes.set_xticks(range(len(names)), [sentence(score_title(n)) for n in names], color=INK)
        if is_narrow:
            axes.tick_params(axis="x", rotation=90)
        axes.set_ylabel("score, %")
        axes.grid(axis="x", visible=False)
        axes.set_ylim(bottom=0)
        dashes = Line2D([], [], color=INK, linestyle="--", linewidth=1)
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(
            [*handles, dashes],
            [*labels, _CHANCE_LABEL],
            loc="outside lower center",
            ncols=1 if is_narrow else 3,
        )
        return figure

    return in_both_widths(draw)


def _lines(
    evals: Sequence[EvalPoint], score: str
) -> dict[str, Float64[np.ndarray, "columns points"]]:
    """Samples seen, value, low, high and chance of each data set that has the score."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    for point in evals:
        for result in point.results:
            if (found := result.scores.get(score)) is not None:
                chance = result.chance.get(score, math.nan)
                row = (float(point.samples_seen), found.value, found.low, found.high, chance)
                rows.setdefault(dataset_label(result), []).append(row)
    return {label: np.array(found, dtype=np.float64).T for label, found in rows.items()}


def is_last_cut_short(train: TrainCurves) -> bool:
    """Whether the last record covers less than half of the samples that records usually do.

    A run ends where it ends: its last loss may be that of one step, and its last speed that of a
    step with the closing checkpoint in it.
    """
    intervals = np.diff(train["samples_seen"])
    return len(intervals) > 1 and bool(intervals[-1] < 0.5 * np.nanmedian(intervals))


def smoothed(y: Float64[np.ndarray, " points"]) -> Float64[np.ndarray, " points"]:
    """Mean over a window around each point, a twentieth of the curve; smaller towards its ends."""
    half = len(y) // (2 * _WINDOWS)
    sums = np.concatenate([[0.0], np.cumsum(y)])
    places = np.arange(len(y))
    reach = np.minimum(half, np.minimum(places, len(y) - 1 - places))
    return (sums[places + reach + 1] - sums[places - reach]) / (2 * reach + 1)


def _curve(
    axes: Axes, x: Float64[np.ndarray, " records"], y: Float64[np.ndarray, " records"]
) -> None:
    """A curve faintly and smoothed; a long one as group means over the range of its values."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if len(x) > POINTS_SHOWN:
        groups_x, groups_y = np.array_split(x, POINTS_SHOWN), np.array_split(y, POINTS_SHOWN)
        x = np.array([group.mean() for group in groups_x])
        y = np.array([group.mean() for group in groups_y])
        low = [group.min() for group in groups_y]
        high = [group.max() for group in groups_y]
        axes.fill_between(x, low, high, color=_BLUE, alpha=0.15, linewidth=0)
    if len(x) < LEAST_SMOOTHED:
        axes.plot(x, y, color=_BLUE, linewidth=1.5, marker="o" if len(x) == 1 else "")
    else:
        axes.plot(x, y, color=_BLUE, linewidth=0.8, alpha=0.35)
        axes.plot(x, smoothed(y), color=_BLUE, linewidth=1.7)
    _count_axis(axes)


def _count_axis(axes: Axes) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: short_count(count)))


def short_count(count: float) -> str:
    """A count in few characters: 950, 12k, 1.5M, 2B."""
    for size, suffix in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= size:
            return f"{count / size:.3g}{suffix}"
    return f"{count:.0f}"


def _chance_tick(axes: Axes, level: float, y: float) -> None:
    if math.isfinite(level):
        axes.plot([level, level], [y - 0.12, y + 0.12], color=INK, linewidth=1.4)


def _legend_with_chance(axes: Axes, figure: Figure, *, is_narrow: bool) -> None:
    handles, labels = axes.get_legend_handles_labels()
    tick = Line2D([], [], color=INK, marker="|", markersize=11, mew=1.4, linestyle="")
    figure.legend(
        [*handles, tick],
        [*labels, _CHANCE_LABEL],
        loc="outside lower center",
        ncols=1 if is_narrow else len(labels) + 1,
    )


def dataset_label(result: EvalResult) -> str:
    split = "" if result.split in {"all", "test"} else f" ({result.split})"
    return result.dataset.replace("_", " ") + split


def sentence(text: str) -> str:
    """With a capital at its start, unless it is a name such as mCE."""
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]


def as_picture(figure: Figure) -> Picture:
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    address = "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
    width, height = figure.get_size_inches() * 100
    return Picture(address, round(width), round(height))
