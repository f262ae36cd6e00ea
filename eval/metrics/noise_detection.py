"""Does a method know which pairs are mismatched? Its probabilities against the injected truth.

A mismatched pair is the positive class, its score 1 - p, p being the probability that the pair is
clean. A pair is flagged where p < 0.5.

- ``auroc``, ``average_precision``: of the score (scikit-learn's definitions).
- ``f1``: of the flags; ``false_flag_rate``: share of clean pairs that are flagged.
- ``ece``: p in 15 bins of equal width, sum over bins of share x |mean of p - share of clean pairs|
  (Naeini et al. 2015, the binary form). A bin holds its lower edge, the last one both.
- ``rate_error``: |estimated - true| rate of mismatches; without an estimate of its own, a method's
  is the mean of 1 - p.

The rate is part of the experiment, so clean and mismatched pairs are samples of their own. Methods
of the intervals: ``eval.metrics.detection``; of ``ece``, ``eval.metrics.ece_interval``; of
``false_flag_rate``, Wilson's; else effective trials with the error of a bootstrap.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from eval.errors import EvaluationError
from eval.metrics.detection import STRATIFIED, detection_scores
from eval.metrics.ece_interval import BinnedGaps, ece_limits
from eval.metrics.intervals import scored, wilson_score
from eval.metrics.resampling import image_weights, resampled_score
from eval.results import Score

NUM_BINS = 15
FLAGGED_BELOW = 0.5
INTERVAL = STRATIFIED.replace("images, ID and OOD", "pairs, clean and mismatched")

_LOWER_IS_BETTER = ("false_flag_rate", "ece", "rate_error")


class _Pairs(NamedTuple):
    clean_probability: Float64[np.ndarray, " pairs"]
    is_mismatched: Bool[np.ndarray, " pairs"]
    bins: Int64[np.ndarray, " pairs"]
    estimated_rate: float | None


def noise_detection_scores(
    clean_probability: Float64[np.ndarray, " pairs"],
    is_mismatched: Bool[np.ndarray, " pairs"],
    *,
    seed: int,
    estimated_rate: float | None = None,
) -> dict[str, Score]:
    """All figures that the truth allows, with 95% intervals.

    Without mismatched pairs there is no ``auroc``, ``average_precision`` and ``f1``; without clean
    ones no ``auroc``, ``average_precision`` and ``false_flag_rate``.

    Args:
        clean_probability: in [0, 1].
        is_mismatched: the truth, never shown to the method.
        seed: of the draws.
        estimated_rate: the method's own estimate of the share of mismatches.
    Raises:
        EvaluationError: no pairs, or values that are no probabilities.
    """
    _refuse(clean_probability)
    bins = np.minimum((clean_probability * NUM_BINS).astype(np.int64), NUM_BINS - 1)
    pairs = _Pairs(clean_probability, is_mismatched, bins, estimated_rate)
    scores: dict[str, Score] = {}
    if is_mismatched.any() and not is_mismatched.all():
        noise = 1.0 - clean_probability
        found = detection_scores(noise[is_mismatched], noise[~is_mismatched], seed=seed)
        scores = {"auroc": found["auroc"], "average_precision": found["aupr_in"]}
    values = _figures(pairs, np.ones(len(bins), dtype=np.int64))
    drawn = [_figures(pairs, weights) for weights in _weights(is_mismatched, seed=seed)]
    units = float(min(own for own in (is_mismatched.sum(), (~is_mismatched).sum()) if own))
    for name, value in values.items():
        resampled = np.array([one[name] for one in drawn])
        scores[name] = resampled_score(
            value, resampled, len(bins), units=units, lower_is_better=name in _LOWER_IS_BETTER
        )
    return scores | _apart(pairs, values, seed)


def _apart(pairs: _Pairs, values: dict[str, float], seed: int) -> dict[str, Score]:
    """Figures whose interval is known better: a share, and sizes of gaps."""
    n = len(pairs.bins)
    gaps = (~pairs.is_mismatched).astype(np.float64) - pairs.clean_probability
    limits = ece_limits(BinnedGaps(pairs.bins, gaps, pairs.clean_probability), seed=seed)
    scores = {"ece": scored(values["ece"], limits, n, lower_is_better=True)}
    if "false_flag_rate" in values:
        flagged = pairs.clean_probability[~pairs.is_mismatched] < FLAGGED_BELOW
        scores["false_flag_rate"] = replace(wilson_score(flagged), n=n, lower_is_better=True)
    return scores


def _refuse(clean_probability: np.ndarray) -> None:
    if not len(clean_probability):
        raise EvaluationError("noise detection needs at least one pair; check the record of uids")
    inside = (clean_probability >= 0) & (clean_probability <= 1)
    if not inside.all():
        raise EvaluationError(
            f"{int((~inside).sum())} of {len(inside)} clean probabilities are NaN or outside of "
            "[0, 1]; check the method's record"
        )


def _weights(is_mismatched: np.ndarray, *, seed: int):
    """How often each pair is drawn, clean and mismatched ones apart."""
    seeds = np.random.SeedSequence(seed).generate_state(2).tolist()
    sides = [np.flatnonzero(is_mismatched), np.flatnonzero(~is_mismatched)]
    drawn = [image_weights(len(s), seed=one) for s, one in zip(sides, seeds, strict=True) if len(s)]
    order = np.argsort(np.concatenate(sides))
    for parts in zip(*drawn, strict=True):
        yield np.concatenate(parts)[order]


def _figures(pairs: _Pairs, weights: Int64[np.ndarray, " pairs"]) -> dict[str, float]:
    probability, wrong = pairs.clean_probability, pairs.is_mismatched
    flagged, total = probability < FLAGGED_BELOW, float(weights.sum())
    num_wrong, num_flagged = float(weights @ wrong), float(weights @ flagged)
    figures: dict[str, float] = {}
    if num_wrong:
        figures["f1"] = 2 * float(weights @ (flagged & wrong)) / (num_flagged + num_wrong)
    if num_wrong < total:
        figures["false_flag_rate"] = float(weights @ (flagged & ~wrong)) / (total - num_wrong)
    gaps = np.bincount(pairs.bins, weights=weights * (probability - ~wrong), minlength=NUM_BINS)
    figures["ece"] = float(np.abs(gaps).sum()) / total
    rate = pairs.estimated_rate
    estimate = float(weights @ (1.0 - probability)) / total if rate is None else rate
    figures["rate_error"] = abs(estimate - num_wrong / total)
    return figures
