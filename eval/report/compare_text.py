"""Scores of several models as text that a terminal has room for."""

import shutil
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from eval.report.model_labels import model_labels

#: Columns of a text, on a terminal that has as many or more.
MOST_COLUMNS = 100


class TextRow(NamedTuple):
    """One score of one benchmark, with a cell for each model."""

    benchmark: str
    dataset: str
    score: str
    cells: tuple[str, ...]


def columns_here() -> int:
    """How wide a text may be: as the terminal is, up to ``MOST_COLUMNS``."""
    return min(MOST_COLUMNS, shutil.get_terminal_size((MOST_COLUMNS, 24)).columns)


def scores_text(
    models: Sequence[str], rows: Sequence[TextRow], notes: Sequence[str], *, columns: int
) -> str:
    """A column a model where that is not too wide, else a line a model below each score.

    Args:
        models: their names; long ones are shortened, and told in full below.
        notes: what is said below; "{first}" stands for the first model.
        columns: that there are.
    """
    labels = model_labels(models)
    lines = _table(labels, rows)
    if max(map(len, lines)) > columns:
        lines = _listed(labels, rows)
    full = [f"{label} is {name}" for label, name in zip(labels, models, strict=True)
            if label != name]  # fmt: skip
    told = [note.replace("{first}", labels[0]) for note in notes]
    folded = [line for note in told for line in _folded(note, columns)]
    return "\n".join([*lines, "", *full, *folded])


def _table(labels: Sequence[str], rows: Sequence[TextRow]) -> list[str]:
    cells = [["benchmark", "data set", "score", *labels], *([*row[:3], *row.cells] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    lines = ["  ".join(map(str.ljust, row, widths)) for row in cells]
    return [line.rstrip() for line in lines]


def _listed(labels: Sequence[str], rows: Sequence[TextRow]) -> list[str]:
    wide = max(map(len, labels))
    lines: list[str] = []
    for row in rows:
        lines.append(f"{row.benchmark}, {row.dataset}: {row.score}")
        lines += [
            f"  {label:<{wide}}  {cell}"
            for label, cell in zip(labels, row.cells, strict=True)
        ]  # fmt: skip
    return lines


def _folded(note: str, columns: int) -> list[str]:
    return textwrap.wrap(note, columns, subsequent_indent="  ", break_long_words=False)
