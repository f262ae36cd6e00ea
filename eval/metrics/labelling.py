"""Figures of predicted labels: accuracy, precision, recall and F1 of each class, their mean.

A class that is never predicted has precision 0, one that never occurs recall 0 (scikit-learn's
``zero_division=0``). Macro F1 is the plain mean of the classes' F1. All figures are made of the
confusion counts, so that a bootstrap adds up small tables.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64


class ClassFigures(NamedTuple):
    """Of each class, in the order of the confusion table."""

    precision: Float64[np.ndarray, " classes"]
    recall: Float64[np.ndarray, " classes"]
    f1: Float64[np.ndarray, " classes"]
    support: Float64[np.ndarray, " classes"]


def confusion(
    labels: Int64[np.ndarray, " rows"], predicted: Int64[np.ndarray, " rows"], num_classes: int
) -> Int64[np.ndarray, "classes classes"]:
    """How often each label (row) was given each prediction (column)."""
    counts = np.bincount(labels * num_classes + predicted, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def class_figures(
    table: Int64[np.ndarray, "classes classes"] | Float64[np.ndarray, "classes classes"],
) -> ClassFigures:
    """Precision, recall, F1 and support of each class, all in [0, 1] but the support."""
    right = np.diag(table).astype(np.float64)
    support, given = table.sum(axis=1).astype(np.float64), table.sum(axis=0).astype(np.float64)
    precision = _ratio(right, given)
    recall = _ratio(right, support)
    return ClassFigures(precision, recall, f1_of(precision, recall), support)


def f1_of(
    precision: Float64[np.ndarray, " classes"], recall: Float64[np.ndarray, " classes"]
) -> Float64[np.ndarray, " classes"]:
    """Harmonic mean of both, 0 where both are 0."""
    return _ratio(2 * precision * recall, precision + recall)


def accuracy_from_recalls(
    recall: Float64[np.ndarray, " classes"], support: Float64[np.ndarray, " classes"]
) -> float:
    """Share of right predictions: recalls weighted with the classes' rows."""
    return float((recall * support).sum() / support.sum())


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.zeros_like(above, dtype=np.float64), where=below > 0)
