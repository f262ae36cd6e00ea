"""Do probabilities mean what they say? ECE, NLL, Brier score and the reliability diagram.

Naeini et al. 2015 and Guo et al. 2017, arXiv 1706.04599: images are sorted into 15 equally wide
bins of confidence (the probability of the predicted class), and ECE = sum over bins of
(images in the bin / images) * |accuracy - confidence|. A bin holds its lower edge; the last one
holds both, so that a confidence of exactly 1 has a bin.

Only four numbers an image are kept: logits pass by in chunks and may be any number.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from eval.errors import EvaluationError
from eval.metrics.ece_interval import BinnedGaps, cross_fitted_ece, ece_limits
from eval.metrics.effective_trials import POSITIVE, containing
from eval.metrics.intervals import mean_score, scored
from eval.results import Score

NUM_BINS = 15
_BRIER_RANGE = (0.0, 2.0)

LogitChunk = tuple[Float[Tensor, "chunk classes"], Int64[Tensor, " chunk"]]


class ImageCalibration(NamedTuple):
    """What calibration needs to know of each image.

    Attributes:
        confidence: probability of the predicted class, in [1 / classes, 1].
        is_correct: whether the predicted class is the label; ties go to the lower index.
        nll: minus the logarithm of the label's probability, nats.
        brier: sum over classes of (probability - 1 if it is the label, else 0)^2, in [0, 2].
    """

    confidence: Float64[np.ndarray, " images"]
    is_correct: Bool[np.ndarray, " images"]
    nll: Float64[np.ndarray, " images"]
    brier: Float64[np.ndarray, " images"]


class ReliabilityBins(NamedTuple):
    """The reliability diagram.

    Attributes:
        lower_edges: m / 15.
        counts: images in each bin.
        accuracy: share of right predictions in each bin; NaN where it is empty.
        confidence: mean confidence in each bin; NaN where it is empty.
    """

    lower_edges: Float64[np.ndarray, " bins"]
    counts: Int64[np.ndarray, " bins"]
    accuracy: Float64[np.ndarray, " bins"]
    confidence: Float64[np.ndarray, " bins"]


def summarize_chunks(chunks: Iterable[LogitChunk], *, temperature: float = 1.0) -> ImageCalibration:
    """Reduce logits to four numbers an image, in float64, one chunk at a time.

    Args:
        chunks: logits (cosines already multiplied by the logit scale) with their labels.
        temperature: what the logits are divided by.
    Raises:
        EvaluationError: no images, or logits that are not finite.
    """
    # One growing table: many small arrays between large temporaries would fragment the heap.
    table, count = np.empty((4, 1024)), 0
    for logits, labels in chunks:
        summary = _summarize(logits, labels, temperature)
        end = count + len(labels)
        while end > table.shape[1]:
            table = np.concatenate([table, np.empty_like(table)], axis=1)
        table[:, count:end] = summary
        count = end
    if not count:
        raise EvaluationError("calibration needs at least one image; check the data set")
    confidence, is_correct, nll, brier = table[:, :count]
    return ImageCalibration(confidence, is_correct.astype(bool), nll, brier)


def expected_calibration_error(images: ImageCalibration) -> float:
    """ECE in [0, 1], over 15 equally wide bins."""
    gaps = np.bincount(_bins_of(images.confidence), weights=_gaps(images), minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / len(images.confidence))


def reliability_bins(images: ImageCalibration) -> ReliabilityBins:
    """Count, accuracy and mean confidence of each of the 15 bins."""
    bins = _bins_of(images.confidence)
    counts = np.bincount(bins, minlength=NUM_BINS)
    hits = np.bincount(bins, weights=images.is_correct, minlength=NUM_BINS)
    confidences = np.bincount(bins, weights=images.confidence, minlength=NUM_BINS)
    divisors = np.where(counts > 0, counts, np.nan)
    edges = np.arange(NUM_BINS) / NUM_BINS
    return ReliabilityBins(edges, counts, hits / divisors, confidences / divisors)


def calibration_scores(images: ImageCalibration, *, seed: int) -> dict[str, Score]:
    """``ece``, ``ece_debiased``, ``nll`` (nats) and ``brier`` with 95% intervals over images.

    The interval of both forms of ECE is that of the true error of the bins: it may begin at 0
    though the usual ECE is always above it (``eval.metrics.ece_interval``).

    Args:
        images: as ``summarize_chunks`` gives them.
        seed: of the draws.
    """
    n, each = len(images.nll), np.arange(len(images.nll))
    gaps = BinnedGaps(_bins_of(images.confidence), _gaps(images), images.confidence)
    limits = ece_limits(gaps, seed=seed)
    debiased = cross_fitted_ece(gaps)
    nll = mean_score(images.nll, each, seed=seed, unit="nats", bounds=POSITIVE)
    brier = mean_score(images.brier, each, seed=seed, unit="number", bounds=_BRIER_RANGE)
    return {
        "ece": scored(expected_calibration_error(images), limits, n, lower_is_better=True),
        "ece_debiased": scored(debiased, containing(debiased, *limits), n, lower_is_better=True),
        "nll": replace(nll, lower_is_better=True),
        "brier": replace(brier, lower_is_better=True),
    }


def _summarize(logits: Tensor, labels: Tensor, temperature: float) -> np.ndarray:
    """Confidence, correctness, NLL and Brier score: [4, chunk]."""
    if not torch.isfinite(logits).all():
        raise EvaluationError(
            "some logits are NaN or infinite; check the model's weights, or evaluate in fp32"
        )
    scores = logits.double() / temperature
    best = scores.amax(dim=1, keepdim=True)
    numbers = torch.arange(scores.shape[1], device=scores.device)
    # argmax gives no promise on ties, the smallest number does.
    predicted = torch.where(scores == best, numbers, scores.shape[1]).amin(dim=1)
    log_probabilities = torch.log_softmax(scores, dim=1)
    own = log_probabilities.gather(1, labels[:, None])[:, 0]
    probabilities = log_probabilities.exp()
    others = probabilities.scatter(1, labels[:, None], 0.0).square().sum(dim=1)
    confidence = probabilities.amax(dim=1).clamp(max=1.0)
    brier = others + torch.expm1(own).square()
    is_correct = (predicted == labels).double()
    return torch.stack([confidence, is_correct, -own, brier]).cpu().numpy()


def _bins_of(confidence: Float64[np.ndarray, " images"]) -> Int64[np.ndarray, " images"]:
    inner_edges = np.arange(1, NUM_BINS) / NUM_BINS
    return np.searchsorted(inner_edges, confidence, side="right")


def _gaps(images: ImageCalibration) -> Float64[np.ndarray, " images"]:
    return images.is_correct - images.confidence
