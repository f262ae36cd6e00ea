"""Populations of figures that are no means: extremes, areas, calibration, F1, agreement, BLEU."""

from collections.abc import Iterator

import numpy as np
from scipy.stats import norm

from benchmarks.support.coverage_means import MIDDLING, SLOW, Case, Generator, case
from eval.metrics.agreement import cohen_kappa
from eval.metrics.average_precision import average_precisions, mean_average_precision
from eval.metrics.bleu import bleu_scores, bleu_values
from eval.metrics.calibration import NUM_BINS
from eval.metrics.detection import detection_scores, detection_values
from eval.metrics.ece_interval import BinnedGaps, ece_limits
from eval.metrics.effective_robustness import (
    BASELINE_FITS,
    effective_robustness,
    expected_accuracy,
)
from eval.metrics.effective_trials import Limits
from eval.metrics.factors import factor_scores, level_scores
from eval.metrics.groups import macro_f1, worst_group_accuracy
from eval.metrics.intervals import wilson_score
from eval.results import Score


def extremes() -> Iterator[Case]:
    """Worst group, spread of levels, error ratio; n images over all groups."""
    for name, truth in (
        ("5 equal groups, 0.8", np.full(5, 0.8)),
        ("10 equal groups, 0.5", np.full(10, 0.5)),
        ("5 groups, one worse", np.array([0.9, 0.9, 0.9, 0.9, 0.6])),
        ("5 perfect groups", np.ones(5)),
    ):

        def worst(rng: Generator, n: int, truth: np.ndarray = truth) -> Limits:
            groups = np.arange(n) % len(truth)
            return _of(worst_group_accuracy(rng.random(n) < truth[groups], groups, seed=0))

        def spread(rng: Generator, n: int, truth: np.ndarray = truth) -> Limits:
            groups = np.arange(n) % len(truth)
            names = [str(i) for i in range(len(truth))]
            return _of(level_scores(rng.random(n) < truth[groups], groups, names, seed=0).spread)

        sizes = (5, 30, 200, 2000) if len(truth) == 5 else (20, 200, 2000)
        yield case("worst group accuracy", name, float(truth.min()), worst, sizes)
        yield case("spread of levels", name, float(np.ptp(truth)), spread, sizes)
    for one, other in ((0.4, 0.2), (0.05, 0.02), (0.2, 0.2)):

        def ratio(rng: Generator, n: int, one: float = one, other: float = other) -> Limits:
            active = np.arange(n) % 3 == 0
            wrong = rng.random(n) < np.where(active, one, other)
            found = factor_scores(~wrong, active[:, None], ("x",), seed=0)["x"].error_ratio
            return Limits(0.0, np.inf, "none: no image is wrong") if found is None else _of(found)

        truth_ratio = one / (one / 3 + other * 2 / 3)
        sizes = (30, 201, 2001)
        yield case("error ratio", f"errors {one:g} and {other:g}", truth_ratio, ratio, sizes)


def areas() -> Iterator[Case]:
    """AUROC, AUPR and FPR95 of normal scores, half of the images on each side."""
    for shift, scale in ((0.0, 1.0), (1.0, 1.0), (3.0, 1.0), (4.0, 1.0), (1.0, 2.0)):
        known = np.random.default_rng(98)
        many = detection_values(known.normal(shift, scale, 200_000), known.normal(size=200_000))
        truths = many | {"auroc": float(norm.cdf(shift / np.hypot(1, scale)))}

        def limits(
            rng: Generator, n: int, shift: float = shift, scale: float = scale
        ) -> dict[str, Limits]:
            inside, outside = rng.normal(shift, scale, n // 2), rng.normal(size=n // 2)
            found = detection_scores(inside, outside, seed=0)
            return {name: _of(score) for name, score in found.items()}

        population = f"shift {shift:g}, scale {scale:g}"
        yield Case(population, truths, limits, (6, 30, 200, 2000), MIDDLING)


def calibrations() -> Iterator[Case]:
    """ECE over the suite's 15 bins."""
    for name, warp in (
        ("calibrated", lambda c: c),
        ("0.1 too sure", lambda c: np.maximum(c - 0.1, 0)),
        ("too sure above", lambda c: c**1.5),
    ):
        confidence = _confidence(np.random.default_rng(97), 2_000_000)
        bins = (confidence * NUM_BINS).astype(np.int64)
        gaps = np.bincount(bins, weights=warp(confidence) - confidence)
        truth = float(np.abs(gaps).sum() / len(confidence))

        def limits(rng: Generator, n: int, warp=warp) -> Limits:
            confidence = _confidence(rng, n)
            right = rng.random(n) < warp(confidence)
            bins = np.minimum((confidence * NUM_BINS).astype(np.int64), NUM_BINS - 1)
            return ece_limits(BinnedGaps(bins, right - confidence, confidence), seed=0)

        yield case("ECE", name, truth, limits, samples_over=SLOW)


def _confidence(rng: Generator, n: int) -> np.ndarray:
    return 0.1 + 0.899 * rng.beta(5, 1.5, n)


def rankings() -> Iterator[Case]:
    """mAP: over sets of this size (what its method covers); macro F1; kappa; BLEU-1."""
    for classes, shift in ((5, 1.5), (5, 3.0), (20, 0.5)):
        for n in (30, 200, 2000):
            known = np.random.default_rng(96)
            count = 40 if n >= 2000 else 400
            sets = [_multilabel(known, n, classes, shift) for _ in range(count)]
            truth = float(np.mean([np.nanmean(average_precisions(*one)) for one in sets]))

            def limits(rng: Generator, n: int, k: int = classes, s: float = shift) -> Limits:
                return _of(mean_average_precision(*_multilabel(rng, n, k, s), seed=0))

            yield case("mAP", f"{classes} classes, shift {shift:g}", truth, limits, (n,), SLOW)
    for right in (0.6, 0.95, 1.0):
        labels, predicted = _labelled(np.random.default_rng(95), 1_000_000, right)
        truth = float(_macro_f1(labels, predicted))

        def f1(rng: Generator, n: int, right: float = right) -> Limits:
            return _of(macro_f1(*_labelled(rng, n, right), seed=0))

        yield case("macro F1", f"4 classes, {right:g} right", truth, f1, (30, 200, 2000), MIDDLING)
        table = np.histogram2d(labels, predicted, bins=4)[0] / len(labels)
        expected = float(table.sum(axis=0) @ table.sum(axis=1))
        agreed = (float(np.trace(table)) - expected) / (1 - expected)

        def kappa(rng: Generator, n: int, right: float = right) -> Limits:
            found = cohen_kappa(*_labelled(rng, n, right), num_answers=4)
            return Limits(-1.0, 1.0, "none: one answer only") if found is None else _of(found)

        yield case("kappa", f"{right:g} alike", agreed, kappa, (5, 30, 200, 2000), MIDDLING)
    counts = _bleu_counts(np.random.default_rng(94), 400_000)
    bleu = bleu_values(counts.sum(axis=0))[0]
    yield case(
        "BLEU-1",
        "captions of 8 to 12 words",
        bleu,
        lambda rng, n: _of(bleu_scores(_bleu_counts(rng, n), seed=0)["bleu_1"]),
        (5, 30, 200, 2000),
        SLOW,
    )


def robustness() -> Iterator[Case]:
    """Effective robustness: accuracies on other images, and the line."""
    fit = BASELINE_FITS["imagenetv2-matched-frequency"]
    for p, q in ((0.7, 0.6), (0.95, 0.9)):

        def limits(rng: Generator, n: int, p: float = p, q: float = q) -> Limits:
            accuracy, shifted = (wilson_score(rng.random(n) < own) for own in (p, q))
            if not 0 < accuracy.value < 1:
                return Limits(-1.0, 1.0, "none: accuracy of 0 or 1")
            return _of(effective_robustness(fit, accuracy=accuracy, shifted=shifted))

        truth = q - expected_accuracy(fit, p)
        yield case("effective robustness", f"{p:g} and {q:g}", truth, limits, (30, 200, 2000))


def _of(score: Score) -> Limits:
    return Limits(score.low, score.high, score.method)


def _multilabel(rng: Generator, n: int, classes: int, shift: float):
    while not (shown := rng.random((n, classes)) < 0.25).any():
        continue
    return rng.normal(size=(n, classes)) + shift * shown, shown


def _labelled(rng: Generator, n: int, right: float) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.choice(4, p=[0.4, 0.3, 0.2, 0.1], size=n)
    other = rng.integers(0, 4, size=n)
    return labels, np.where(rng.random(n) < right, labels, other)


def _macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    hits = np.bincount(labels[labels == predicted], minlength=4)
    both = np.bincount(labels, minlength=4) + np.bincount(predicted, minlength=4)
    return float(np.mean(2 * hits / both))


def _bleu_counts(rng: Generator, n: int) -> np.ndarray:
    lengths = rng.integers(8, 13, size=n)
    matches = rng.binomial(lengths, np.clip(rng.normal(0.55, 0.15, n), 0, 1))
    counts = np.zeros((n, 10), dtype=np.int64)
    counts[:, 0], counts[:, 4], counts[:, 8], counts[:, 9] = matches, lengths, lengths, 10
    return counts
