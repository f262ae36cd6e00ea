"""95% confidence intervals of shares.

Which one is used where:

- One trial an image (accuracy, image-to-text recall, text-to-image recall with one caption an
  image): Wilson's score interval (Wilson 1927), its lower limits of one to five hits and its upper
  limits of one to five misses replaced by those of a Poisson count, as Brown, Cai and DasGupta 2001
  (Statistical Science 16, 101, section 4.1.1) do for up to three: there Wilson's own cover as
  little as 84 %.
- Several captions an image (text-to-image recall): captions of one image share its picture and
  succeed together; see ``eval.metrics.mean_intervals``.
- Mean per-class recall: effective trials, from the variance of each class.

All of them take the data set as a sample from a larger world of images; none covers the choice
of gallery, of prompts, or the seed of training.
"""

import math

import numpy as np
from jaxtyping import Bool, Int64
from scipy.stats import chi2, norm

from data_pipelines.wilson import wilson_interval
from eval.metrics.accuracy import mean_per_class_recall
from eval.metrics.effective_trials import (
    CONFIDENCE,
    EFFECTIVE,
    SHARE,
    TAIL,
    Bounds,
    Limits,
    effective_limits,
)
from eval.metrics.mean_intervals import NUM_RESAMPLES, mean_limits
from eval.results import Score

__all__ = ["CONFIDENCE", "NUM_RESAMPLES"]

WILSON_NAME = "Wilson (limits of 1 to 5 hits or misses: Poisson)"
WILSON_AT_END = "Wilson (at the end of its range: covers at least 95%)"
WILSON_FEW = "Wilson (at most 5 trials: covers at least 95%)"
WILSON = f"95% {WILSON_NAME}"
CLUSTERED = (
    "95% intervals over images, Gaffke's bound or Korn-Graubard with bootstrap-t, "
    f"{NUM_RESAMPLES} resamples (each score names its own)"
)
PER_CLASS = f"{EFFECTIVE}, variance by class, with MOVER of the classes"
FEW_A_CLASS = (
    f"{PER_CLASS} (a class of fewer than 10 samples, or fewer than 5 hits or misses in all: covers "
    "at least 95%)"
)
RECALL_INTERVAL = f"95% {PER_CLASS}"

_FEW_HITS = 5
_FEW_SAMPLES = 10


def scored(
    value: float,
    limits: Limits,
    n: int,
    *,
    unit: str = "share",
    lower_is_better: bool = False,
) -> Score:
    """A value with its interval, as a score."""
    return Score(value, limits.low, limits.high, n, unit, lower_is_better, limits.method)


def wilson_score(is_hit: Bool[np.ndarray, " trials"]) -> Score:
    """Share of hits among independent trials, at least one, with Wilson's interval."""
    hits, trials = int(is_hit.sum()), len(is_hit)
    return scored(hits / trials, wilson_limits(hits, trials), trials)


def wilson_limits(hits: int, trials: int) -> Limits:
    """Wilson's interval, at its ends as in the module's description."""
    low, high = wilson_interval(hits, trials, quantile=float(norm.ppf(1 - TAIL)))
    low = min(low, _poisson_limit(hits) / trials)
    high = max(high, 1 - _poisson_limit(trials - hits) / trials)
    method = WILSON_NAME if 0 < hits < trials else WILSON_AT_END
    return Limits(low, high, WILSON_FEW if trials <= _FEW_HITS else method)


def _poisson_limit(count: int) -> float:
    """Lower 95% limit of the mean of a Poisson count of 1 to 5; infinite for others."""
    return float(chi2.ppf(1 - CONFIDENCE, 2 * count)) / 2 if 1 <= count <= _FEW_HITS else math.inf


def cluster_bootstrap_score(
    is_hit: Bool[np.ndarray, " trials"], clusters: Int64[np.ndarray, " trials"], *, seed: int
) -> Score:
    """Share of hits among trials that come in clusters (captions of an image).

    With one trial a cluster the interval is Wilson's, else that of ``mean_limits``.

    Args:
        is_hit: at least one trial.
        clusters: number of the cluster of each trial; numbers without a trial do not count.
        seed: of the draws.
    """
    if len(np.unique(clusters)) == len(clusters):
        return wilson_score(is_hit)
    return mean_score(is_hit.astype(np.float64), clusters, seed=seed)


def mean_score(
    values: np.ndarray,
    clusters: Int64[np.ndarray, " values"],
    *,
    seed: int,
    unit: str = "share",
    bounds: Bounds = SHARE,
    lower_is_better: bool = False,
) -> Score:
    """Mean of values that come in clusters; arguments as in ``mean_limits`` and ``Score``."""
    limits = mean_limits(values, clusters, bounds=bounds, seed=seed)
    n = len(values)
    return scored(float(values.mean()), limits, n, unit=unit, lower_is_better=lower_is_better)


def per_class_score(
    is_hit: Bool[np.ndarray, " samples"], labels: Int64[np.ndarray, " samples"], *, seed: int
) -> Score:
    """Mean per-class recall, over the classes that have samples.

    The hull of two intervals. One has the variance of a mean of independent shares; a class whose
    samples all hit, or none, shows no spread of its own, so each class's variance is taken at a
    recall drawn towards the mean of all by one sample, (hits + mean) / (samples + 1). The other
    adds the distances to Wilson's limits of the classes in quadrature (Zou and Donner 2008): it is
    the wider one where a few classes have far fewer samples than the others.

    Args:
        is_hit: at least one sample.
        labels: class of each sample.
        seed: not needed; kept with the others' settings.
    """
    numbers = np.unique(labels, return_inverse=True)[1]
    samples = np.bincount(numbers)
    hits = np.bincount(numbers, weights=is_hit)
    value = mean_per_class_recall(is_hit, labels)
    shrunk = (hits + value) / (samples + 1)
    error = math.sqrt(float((shrunk * (1 - shrunk) / samples).sum())) / len(samples)
    # As many trials as would give the same variance, were all recalls alike.
    alike = len(samples) ** 2 / float((1 / samples).sum())
    plain = effective_limits(value, error, units=alike, bounds=SHARE)
    by_class = [wilson_limits(int(own), int(of)) for own, of in zip(hits, samples, strict=True)]
    below, above = (
        math.sqrt(math.fsum((end - hit / of) ** 2 for end, hit, of in zip(*own, strict=True)))
        for own in (
            ([one.low for one in by_class], hits, samples),
            ([one.high for one in by_class], hits, samples),
        )
    )
    count = len(samples)
    low, high = min(plain.low, value - below / count), max(plain.high, value + above / count)
    fewest = min(hits.sum(), len(is_hit) - hits.sum())
    is_few = samples.min() < _FEW_SAMPLES or fewest < _FEW_HITS
    method = FEW_A_CLASS if is_few else PER_CLASS
    return scored(value, Limits(low, high, method), len(is_hit))
