"""Every class in a row, and how much of it each of several models names rightly."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from data_pipelines.texts import counted
from eval.class_answers import ClassAnswers, of_details
from eval.metrics.intervals import wilson_limits
from eval.report.class_tables import FoldedTable
from eval.report.disagreements import answers_to_same
from eval.report.sides import Side


def compared_classes(sides: Sequence[Side]) -> Iterator[FoldedTable]:
    """A table for each data set whose classes the first model and another were asked about.

    The class on which models lie furthest apart comes first.
    """
    for result in sides[0].results:
        mine = of_details(result.details)
        if mine is None:
            continue
        found = [(sides[0].name, mine)]
        for other in sides[1:]:
            theirs = answers_to_same(other, result)
            if theirs is not None and theirs.names == mine.names:
                found.append((other.name, theirs))
        if len(found) > 1:
            yield _table(f"{result.dataset} ({result.split})", found)


def _table(title: str, found: Sequence[tuple[str, ClassAnswers]]) -> FoldedTable:
    names = found[0][1].names
    images = [_of_classes(answers.right, len(names)) for _, answers in found]
    hits = [_of_classes(one.right[one.right == one.given], len(names)) for _, one in found]
    shares = np.array(hits) / np.maximum(images, 1)
    spread = shares.max(axis=0) - shares.min(axis=0)
    shown = np.flatnonzero(np.all(images, axis=0)).tolist()
    shown.sort(key=lambda i: (-spread[i], names[i]))
    rows = tuple(
        (
            names[i],
            f"{images[0][i]:,}",
            *(_share(int(own[i]), int(of[i])) for own, of in zip(hits, images, strict=True)),
            f"{100 * spread[i]:.1f}",
        )
        for i in shown
    )
    return FoldedTable(
        title,
        f"{counted(len(rows), 'class', 'classes')} with pictures, those furthest apart first",
        ("class", "images", *(f"{name}: right, %" for name, _ in found), "apart, points"),
        rows,
    )


def _of_classes(classes: Int64[np.ndarray, " images"], size: int) -> Int64[np.ndarray, " classes"]:
    return np.bincount(classes, minlength=size)


def _share(hits: int, images: int) -> str:
    limits = wilson_limits(hits, images)
    return f"{100 * hits / images:.1f} ({100 * limits.low:.1f} to {100 * limits.high:.1f})"
