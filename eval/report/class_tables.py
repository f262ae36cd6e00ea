"""Every class in a row, and which classes are taken for which."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from data_pipelines.texts import counted
from eval.class_answers import ClassAnswers, of_details
from eval.metrics.intervals import wilson_limits
from eval.report.figures import INK, NARROW, WIDE, Picture, in_both_widths
from eval.results import EvalResult

#: Classes of the largest confusion matrix that is drawn; a table names the worst pairs of any.
_MOST_DRAWN = 30
_PAIRS_SHOWN = 50


class FoldedTable(NamedTuple):
    """A table that is folded at first: all texts, ready to print.

    Attributes:
        title: model and data set.
        summary: what the fold says.
        columns: headings; the first is of the row's name.
        rows: a text for each column.
    """

    title: str
    summary: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def class_tables(results: Sequence[EvalResult]) -> Iterator[FoldedTable]:
    """Classes of every result that tells them apart, the worst first; then confused pairs."""
    for result in results:
        if result.family == "detection":
            yield from _detected(result)
        elif (answers := of_details(result.details)) is not None:
            yield _named(result, answers)
            if answers.confusions():
                yield _pairs(result, answers)


def confusion_figure(answers: ClassAnswers) -> Picture | None:
    """Right class downwards, given class to the right, share of the right class in percent.

    None where there are too many classes to read.
    """
    if not 1 < len(answers.names) <= _MOST_DRAWN:
        return None
    size = len(answers.names)
    counts = np.zeros((size, size))
    np.add.at(counts, (answers.right, answers.given), 1)
    of_class = counts.sum(axis=1, keepdims=True)
    shares = np.divide(100 * counts, of_class, out=np.full_like(counts, np.nan), where=of_class > 0)

    def draw(is_narrow: bool) -> Figure:
        side = 2.2 + 0.3 * size
        width = min(NARROW if is_narrow else WIDE, side + 1.2)
        figure = Figure(figsize=(width, width + 0.6 if is_narrow else side))
        axes = figure.subplots()
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        if size <= (10 if is_narrow else 20):
            for row, column in np.argwhere(shares >= 0.5):
                value = shares[row, column]
                axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7.5,
                          color="white" if value > 55 else INK)  # fmt: skip
        names = [name if len(name) <= 24 else name[:22] + "..." for name in answers.names]
        axes.set_xticks(range(size), names, rotation=90, color=INK)
        axes.set_yticks(range(size), names, color=INK)
        axes.set_xlabel("given")
        axes.set_ylabel("right")
        axes.grid(visible=False)
        if is_narrow:
            axes.tick_params(labelsize=8 if size <= 10 else 5)
        place = "top" if is_narrow else "right"
        label = "share of the right class, %"
        figure.colorbar(image, ax=axes, label=label, shrink=0.7, location=place)
        return figure

    return in_both_widths(draw)


def _named(result: EvalResult, answers: ClassAnswers) -> FoldedTable:
    taken_for = {}
    for right, given, number in answers.confusions():
        taken_for.setdefault(right, f"{answers.names[given]} ({number:,})")
    size = len(answers.names)
    images = np.bincount(answers.right, minlength=size)
    hits = np.bincount(answers.right[answers.right == answers.given], minlength=size)
    given = np.bincount(answers.given, minlength=size)
    found = np.flatnonzero(images)
    order = sorted(found.tolist(), key=lambda i: (hits[i] / images[i], answers.names[i]))
    rows = []
    for i in order:
        limits = wilson_limits(int(hits[i]), int(images[i]))
        rows.append(
            (
                answers.names[i],
                f"{images[i]:,}",
                f"{100 * hits[i] / images[i]:.1f}",
                f"{100 * limits.low:.1f} to {100 * limits.high:.1f}",
                f"{100 * hits[i] / given[i]:.1f}" if given[i] else "-",
                taken_for.get(i, "-"),
            )
        )
    return FoldedTable(
        f"{result.model} on {result.dataset} ({result.split})",
        f"{counted(len(found), 'class', 'classes')} with pictures, the worst first",
        ("class", "images", "right, %", "95% interval", "precision, %", "most often taken for"),
        tuple(rows),
    )


def _pairs(result: EvalResult, answers: ClassAnswers) -> FoldedTable:
    images = np.bincount(answers.right, minlength=len(answers.names))
    pairs = answers.confusions()
    rows = tuple(
        (
            answers.names[right],
            answers.names[given],
            f"{number:,}",
            f"{100 * number / images[right]:.1f}",
        )
        for right, given, number in pairs[:_PAIRS_SHOWN]
    )
    return FoldedTable(
        f"Confusions: {result.model} on {result.dataset} ({result.split})",
        _frequent(len(rows), len(pairs)),
        ("right class", "given", "images", "share of the right class, %"),
        rows,
    )


def _frequent(shown: int, found: int) -> str:
    told = f"{counted(found, 'confused pair')}, the most frequent first"
    return told if shown == found else f"the {shown} most frequent of {found:,} confused pairs"


def _detected(result: EvalResult) -> Iterator[FoldedTable]:
    """A table a kind of region."""
    regions = result.details.get("classes")
    if not isinstance(regions, dict):
        return
    for region, listed in regions.items():
        rows: list[dict[str, Any]] = [one for one in listed if isinstance(one, dict)]
        if not rows:
            continue
        figures = [name for name in rows[0] if name.startswith(("ap", "ar"))]
        rows.sort(key=lambda row: (row["ap"], row["name"]))
        yield FoldedTable(
            f"{result.model} on {result.dataset}: {region.replace('_', ' ')}",
            f"{counted(len(rows), 'class', 'classes')} with a marked region, the worst first",
            (
                "class",
                "group",
                "regions",
                *(f"{name.upper().replace('_', ' at ')}, %" for name in figures),
            ),
            tuple(
                (
                    str(row["name"]),
                    str(row["group"]),
                    f"{row['regions']:,}",
                    *(f"{100 * row[name]:.1f}" for name in figures),
                )
                for row in rows
            ),
        )
