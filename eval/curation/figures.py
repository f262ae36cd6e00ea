"""Plots of a curation run, of the width of a telephone each."""

import re

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from eval.curation.histograms import Histogram
from eval.report.figures import COLOURS, INK, STYLE, Picture, as_picture, short_count

_SIZE = (4.3, 2.7)  # inches, of 100 pixels

#: How many times the highest bar may be the highest dropped one before counts are logarithmic.
_STEEP = 50.0


def histogram_figure(histogram: Histogram) -> Picture:
    """Kept and dropped samples stacked over the number that was judged, its threshold a line."""
    edges = np.array(histogram.edges)
    dropped = np.array(histogram.dropped)
    kept = np.array(histogram.kept) if histogram.kept else np.zeros_like(dropped)
    with matplotlib.rc_context({**STYLE, "font.size": 9}):
        figure = Figure(figsize=_SIZE)
        axes = figure.subplots()
        for bottom, heights, colour, label, hatch in (
            (np.zeros_like(kept), kept, COLOURS[0], "passed", ""),
            (kept, dropped, COLOURS[1], "dropped", "////"),
        ):
            if heights.any():
                axes.bar(
                    edges[:-1], heights, np.diff(edges), bottom=bottom, align="edge", color=colour,
                    edgecolor="white", linewidth=0.3, label=label, hatch=hatch,
                )  # fmt: skip
        threshold = histogram.judged.threshold
        if threshold is not None:
            axes.axvline(threshold, color=INK, linewidth=1.4, linestyle="--")
            axes.annotate(
                f"{threshold:.6g}", (threshold, 1.0), xycoords=("data", "axes fraction"),
                xytext=(3, -2), textcoords="offset points", va="top", fontsize=8.5,
            )  # fmt: skip
        if histogram.is_logarithmic:
            axes.set_xscale("log")
        axes.set_xlim(edges[0], edges[-1])
        highest = (kept + dropped).max()
        if dropped.any() and highest > _STEEP * dropped.max():
            axes.set_yscale("log")
            axes.set_ylim(bottom=0.7)
        axes.set_xlabel(readable(histogram.judged.value))
        axes.set_ylabel("samples")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: short_count(count)))
        axes.grid(axis="x", visible=False)
        axes.legend(fontsize=8.5, loc="upper right")
        return as_picture(figure)


def readable(expression: str) -> str:
    """An expression without what is only for the database."""
    text = " ".join(re.sub(r"::\w+", "", expression).replace('"', "").split())
    for name, plain in (("least(", "lesser of ("), ("greatest(", "greater of (")):
        text = text.replace(name, plain)
    return text if len(text) <= 60 else f"{text[:57]}..."
