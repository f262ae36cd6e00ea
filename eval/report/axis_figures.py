"""Plots that belong to one axis: the reliability diagram, the table of corruptions in colour."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from eval.report.figures import COLOURS, INK, NARROW, WIDE, Picture, in_both_widths, sentence


def reliability_figure(diagrams: Mapping[str, Any]) -> Picture:
    """A panel for each diagram: accuracy over confidence, the share of images behind it.

    Args:
        diagrams: by title: "counts", "accuracy" and "confidence" of each bin, None where empty.
    """

    def draw(is_narrow: bool) -> Figure:
        shape = (len(diagrams), 1) if is_narrow else (1, len(diagrams))
        figure = Figure(figsize=(NARROW, 2.9 * shape[0]) if is_narrow else (WIDE, 3.6))
        panels = np.atleast_1d(figure.subplots(*shape, sharey=True))
        for axes, (title, bins), colour in zip(panels, diagrams.items(), COLOURS, strict=False):
            counts = np.array(bins["counts"], dtype=np.float64)
            edges = np.arange(len(counts)) / len(counts)
            axes.bar(
                100 * edges, 100 * counts / counts.sum(), 100 / len(counts), align="edge",
                color="#d9dee4", label="share of images",
            )  # fmt: skip
            pairs = zip(bins["confidence"], bins["accuracy"], strict=True)
            known = [(100 * x, 100 * y) for x, y in pairs if x is not None and y is not None]
            x, y = zip(*known, strict=True)
            axes.plot(x, y, color=colour, marker="o", ms=5, label="accuracy")
            axes.plot([0, 100], [0, 100], color=INK, linestyle="--", linewidth=1)
            axes.set_title(sentence(title))
            axes.set_xlabel("confidence, %")
            axes.set_xlim(0, 100)
            axes.set_ylim(0, 100)
        for axes in panels if is_narrow else panels[:1]:
            axes.set_ylabel("accuracy, share of images; %")
        panels[0].legend(loc="upper left", fontsize=8)
        return figure

    return in_both_widths(draw)


def corruption_figure(accuracy: Mapping[str, Mapping[str, float]]) -> Picture:
    """Accuracy by corruption and severity as a coloured table.

    Args:
        accuracy: shares by corruption, then severity "1" to "5"; cells may be missing, and a
            severity that no corruption has gets no column.
    """
    names = list(accuracy)
    levels = sorted({level for cells in accuracy.values() for level in cells}, key=_by_number)
    table = np.array(
        [[100 * accuracy[name].get(level, np.nan) for level in levels] for name in names]
    )

    def draw(is_narrow: bool) -> Figure:
        width = NARROW if is_narrow else min(WIDE, 3.4 + 1.2 * len(levels))
        figure = Figure(figsize=(width, 0.9 + 0.26 * len(names)))
        axes = figure.subplots()
        image = axes.imshow(table, aspect="auto", cmap="viridis", vmin=0)
        brightest = np.nanmax(table) if np.isfinite(table).any() else 1.0
        for row, column in np.argwhere(np.isfinite(table)):
            value = table[row, column]
            colour = "white" if value < 0.6 * brightest else "black"
            axes.text(
                column, row, f"{value:.1f}", ha="center", va="center", fontsize=8, color=colour
            )
        axes.set_xticks(range(len(levels)), levels)
        axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names], color=INK)
        axes.set_xlabel("severity")
        axes.set_ylabel("corruption")
        axes.grid(visible=False)
        if not is_narrow:  # the numbers stand in the cells
            figure.colorbar(image, ax=axes, label="top-1, %", pad=0.01)
        return figure

    return in_both_widths(draw)


def _by_number(level: str) -> tuple[int, str]:
    return (int(level) if level.isdecimal() else 0, level)
