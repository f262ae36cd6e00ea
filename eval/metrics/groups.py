"""Accuracy of the group that fares worst, and macro F1: metrics of WILDS as DataComp uses them."""

import numpy as np
from jaxtyping import Bool, Float64, Int64
from sklearn.metrics import f1_score

from eval.errors import EvaluationError
from eval.metrics.extremes import Group, minimum_limits
from eval.metrics.intervals import scored, wilson_score
from eval.metrics.resampling import cell_draws, resampled_score
from eval.results import Score


def group_accuracies(
    is_hit: Bool[np.ndarray, " images"], groups: Int64[np.ndarray, " images"]
) -> dict[int, Score]:
    """Accuracy of each group that has images, with Wilson's interval."""
    return {int(group): wilson_score(is_hit[groups == group]) for group in np.unique(groups)}


def worst_group_accuracy(
    is_hit: Bool[np.ndarray, " images"], groups: Int64[np.ndarray, " images"], *, seed: int
) -> Score:
    """Accuracy of the group that fares worst (Koh et al. 2021, arXiv 2012.07421, section 2).

    Chance alone makes the worst of many small groups lower; the interval takes that into account
    (``eval.metrics.extremes``) and covers the group that is truly worst.

    Args:
        is_hit: of every image.
        groups: number of the group of each.
        seed: not needed; kept with the others' settings.
    Raises:
        EvaluationError: no images.
    """
    if not len(is_hit):
        raise EvaluationError("the worst group needs at least one image; check the data set")
    accuracies = list(group_accuracies(is_hit, groups).values())
    worst = min(accuracies, key=lambda own: own.value)
    counted = [Group(round(own.value * own.n), own.n) for own in accuracies]
    return scored(worst.value, minimum_limits(counted), worst.n)


def macro_f1(
    labels: Int64[np.ndarray, " images"], predictions: Int64[np.ndarray, " images"], *, seed: int
) -> Score:
    """Mean over the classes that have images of F1, with an interval over images.

    As WILDS (common/metrics/all_metrics.py), by scikit-learn: a class that is only predicted does
    not count.

    Args:
        labels: class of each image.
        predictions: class named for each image.
        seed: of the draws.
    Raises:
        EvaluationError: no images.
    """
    if not len(labels):
        raise EvaluationError("macro F1 needs at least one image; check the data set")
    classes = np.unique(labels)
    # Every class has images, so no division is by zero.
    value = f1_score(labels, predictions, labels=classes, average="macro")
    drawn = _drawn_f1(labels, predictions, seed)
    # Perfect predictions show no spread: then as many images count as the small classes allow.
    images = np.unique(labels, return_counts=True)[1]
    alike = len(images) ** 2 / float((1 / images).sum())
    return resampled_score(float(value), drawn, len(labels), units=alike)


def _drawn_f1(
    labels: np.ndarray, predictions: np.ndarray, seed: int
) -> Float64[np.ndarray, " resamples"]:
    """F1 = 2 TP / (labelled + predicted), over the classes that were drawn, of each resample."""
    count = int(max(labels.max(), predictions.max())) + 1
    codes, images = np.unique(labels * count + predictions, return_counts=True)
    label, named = codes // count, codes % count
    hit = label == named
    values = []
    for batch in cell_draws(images, seed=seed):
        true, given = _summed(batch, label, count), _summed(batch, named, count)
        right = np.zeros_like(true)
        right[:, label[hit]] = batch[:, hit]
        drawn = true > 0
        each = np.divide(2 * right, true + given, out=np.zeros(true.shape), where=drawn)
        values.append(each.sum(axis=1) / drawn.sum(axis=1))
    return np.concatenate(values)


def _summed(batch: np.ndarray, classes: np.ndarray, count: int) -> np.ndarray:
    """Images of each class, where each column of the batch is one of a class."""
    order = np.argsort(classes, kind="stable")
    present, starts = np.unique(classes[order], return_index=True)
    sums = np.zeros((len(batch), count), dtype=batch.dtype)
    sums[:, present] = np.add.reduceat(batch[:, order], starts, axis=1)
    return sums
