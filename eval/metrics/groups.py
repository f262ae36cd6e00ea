"""Accuracy of the group that fares worst, and macro F1: metrics of WILDS as DataComp uses them."""

import numpy as np
from jaxtyping import Bool, Float64, Int64
from sklearn.metrics import f1_score

from eval.errors import EvaluationError
from eval.metrics.intervals import NUM_RESAMPLES, wilson_score
from eval.metrics.resampling import image_weights, percentile_score
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

    The interval draws images within each group and takes the worst group anew; chance alone makes
    the worst of many small groups lower.

    Args:
        is_hit: of every image.
        groups: number of the group of each.
        seed: of the draws.
    Raises:
        EvaluationError: no images.
    """
    if not len(is_hit):
        raise EvaluationError("the worst group needs at least one image; check the data set")
    accuracies = list(group_accuracies(is_hit, groups).values())
    generator = np.random.default_rng(seed)
    drawn = np.stack(
        [generator.binomial(own.n, own.value, size=NUM_RESAMPLES) / own.n for own in accuracies]
    )
    worst = min(accuracies, key=lambda own: own.value)
    return percentile_score(worst.value, drawn.min(axis=0), worst.n)


def macro_f1(
    labels: Int64[np.ndarray, " images"], predictions: Int64[np.ndarray, " images"], *, seed: int
) -> Score:
    """Mean over the classes that have images of F1, with a bootstrap interval over images.

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
    return percentile_score(float(value), np.array(drawn), len(labels))


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
