"""Accuracy of the group that fares worst, and macro F1: metrics of WILDS as DataComp uses them."""

import numpy as np
from jaxtyping import Bool, Float64, Int64
from sklearn.metrics import f1_score

from eval.errors import EvaluationError
from eval.metrics.extremes import Group, minimum_limits
from eval.metrics.intervals import scored, wilson_score
from eval.metrics.resampling import image_weights, resampled_score
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
    count = int(max(labels.max(), predictions.max())) + 1
    drawn = [
        _weighted_f1(labels, predictions, weights, count)
        for weights in image_weights(len(labels), seed=seed)
    ]
    # Perfect predictions show no spread: then as many images count as the small classes allow.
    images = np.unique(labels, return_counts=True)[1]
    alike = len(images) ** 2 / float((1 / images).sum())
    return resampled_score(float(value), np.array(drawn), len(labels), units=alike)


def _weighted_f1(
    labels: np.ndarray, predictions: np.ndarray, weights: np.ndarray, count: int
) -> float:
    """F1 = 2 TP / (labelled + predicted), over the classes that were drawn."""
    hit = labels == predictions
    true: Float64[np.ndarray, " classes"] = np.bincount(labels, weights, count)
    named = np.bincount(predictions, weights, count)
    right = np.bincount(labels[hit], weights[hit], count)
    drawn = true > 0
    return float(np.mean(2 * right[drawn] / (true + named)[drawn]))
