"""Plots of a curation run, of the width of a telephone each."""

import re

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from eval.curation.histograms import Histogram
from eval.report.figures import COLOURS, INK, STYLE, Picture, as_picture, short_count

_SIZE = (4.3, 2.7)  # inches, of 100 pixels

#: How many times as high as the highest bar of dropped ones a plot may be that is not logarithmic.
_STEEP = 50.0


def histogram_figure(histogram: Histogram) -> Picture:
    """Samples by what became of them over the number that was judged, its threshold a line."""
    edges = np.array(histogram.edges)
    sides = [histogram.kept or [0] * len(histogram.dropped), histogram.others, histogram.dropped]
    kept, others, dropped = map(np.array, sides)
    bars = (
        (kept, COLOURS[0], "kept", ""),
        (others, "#9aa5b1", "dropped by another rule", ""),
        (dropped, COLOURS[1], "dropped by this one", "////"),
    )
    with matplotlib.rc_context({**STYLE, "font.size": 9}):
        figure = Figure(figsize=_SIZE)
        axes = figure.subplots()
        bottom = np.zeros_like(dropped)
        for heights, colour, label, hatch in bars:
            if heights.any():
                axes.bar(
                    edges[:-1], heights, np.diff(edges), bottom=bottom, align="edge", color=colour,
                    edgecolor="white", linewidth=0.3, label=label, hatch=hatch,
                )  # fmt: skip
            bottom = bottom + heights
        threshold = histogram.judged.threshold
        if threshold is not None:
            axes.axvline(threshold, color=INK, linewidth=1.4, linestyle="--")
            axes.annotate(
                f"{threshold:.6g}", (threshold, 1.0), xycoords=("data", "axes fraction"),
                xytext=(0, 2), textcoords="offset points", ha="center", fontsize=8.5,
            )  # fmt: skip
        if histogram.is_logarithmic:
            axes.set_xscale("log")
        axes.set_xlim(edges[0], edges[-1])
        if dropped.any() and bottom.max() > _STEEP * dropped.max():
            axes.set_yscale("log")
            axes.set_ylim(bottom=0.7)
        else:
            axes.yaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True))
        if not histogram.is_logarithmic:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
        axes.set_xlabel(readable(histogram.judged.value))
        axes.set_ylabel("samples")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: short_count(count)))
        axes.grid(axis="x", visible=False)
        figure.legend(loc="outside upper left", ncols=3, fontsize=8.5, columnspacing=1.0)
        return as_picture(figure)


def readable(expression: str) -> str:
    """An expression without what is only for the database."""
    text = " ".join(re.sub(r"::\w+", "", expression).replace('"', "").split())
    for name, plain in (("least(", "lesser of ("), ("greatest(", "greater of (")):
        text = text.replace(name, plain)
    return text if len(text) <= 60 else f"{text[:57]}..."
