"""95% confidence intervals of shares.

Which one is used where:

- One trial an image (accuracy, image-to-text recall, text-to-image recall with one caption an
  image): Wilson's score interval (Wilson 1927), by scipy.
- Several captions an image (text-to-image recall): captions of one image share its picture and
  succeed together, so whole images are resampled (cluster bootstrap, percentile interval).
- Mean per-class recall: images are resampled and the classes' recalls computed anew.

All of them take the data set as a sample from a larger world of images; none covers the choice
of gallery, of prompts, or the seed of training.
"""

import numpy as np
from jaxtyping import Bool, Int64
from scipy.stats import binomtest

from eval.metrics.accuracy import mean_per_class_recall
from eval.results import Score

CONFIDENCE = 0.95
NUM_RESAMPLES = 2000

_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)

WILSON = "95% Wilson score interval"
CLUSTER_BOOTSTRAP = f"95% percentile bootstrap over images, {NUM_RESAMPLES} resamples"


def wilson_score(is_hit: Bool[np.ndarray, " trials"]) -> Score:
    """Share of hits among independent trials, at least one, with Wilson's interval."""
    return _wilson(int(is_hit.sum()), len(is_hit))


def cluster_bootstrap_score(
    is_hit: Bool[np.ndarray, " trials"], clusters: Int64[np.ndarray, " trials"], *, seed: int
) -> Score:
    """Share of hits among trials that come in clusters (captions of an image).

    Clusters are drawn with replacement; those with equal (hits, trials) are interchangeable, so
    a resample is one multinomial draw over the distinct pairs. Where every cluster has the same
    share of hits (all hit, or none) resampling shows no spread at all, and the interval is
    Wilson's for as many trials as there are clusters, the cautious reading.

    Args:
        is_hit: at least one trial.
        clusters: number of the cluster of each trial; numbers without a trial do not count.
        seed: of the draws.
    """
    trials = np.bincount(clusters)
    hits = np.bincount(clusters, weights=is_hit).astype(np.int64)
    pairs = np.stack([hits, trials])[:, trials > 0]
    value = float(is_hit.mean())
    if len(np.unique(pairs[0] / pairs[1])) == 1:
        assumed = _wilson(round(value * pairs.shape[1]), pairs.shape[1])
        low, high = min(assumed.low, value), max(assumed.high, value)
        return Score(value, low, high, len(is_hit))
    kinds, drawn = _resample(pairs, seed=seed)
    shares = (drawn @ kinds[0]) / (drawn @ kinds[1])
    low, high = np.quantile(shares, _TAILS).tolist()
    return Score(value, low, high, len(is_hit))


def per_class_score(
    is_hit: Bool[np.ndarray, " samples"], labels: Int64[np.ndarray, " samples"], *, seed: int
) -> Score:
    """Mean per-class recall; images drawn with replacement, classes not drawn left out.

    Falls back on Wilson's interval where all samples hit, or none does.
    """
    if is_hit.all() or not is_hit.any():
        return wilson_score(is_hit)
    kinds, drawn = _resample(np.stack([labels, is_hit.astype(np.int64)]), seed=seed)
    classes, of_kind = np.unique(kinds[0], return_inverse=True)
    to_class = np.zeros((kinds.shape[1], len(classes)))
    to_class[np.arange(kinds.shape[1]), of_kind] = 1.0
    trials = drawn @ to_class
    hits = (drawn * kinds[1]) @ to_class
    recalls = np.divide(hits, trials, out=np.full_like(hits, np.nan), where=trials > 0)
    low, high = np.quantile(np.nanmean(recalls, axis=1), _TAILS).tolist()
    value = mean_per_class_recall(is_hit, labels)
    return Score(value, min(low, value), max(high, value), len(is_hit))


def _wilson(hits: int, trials: int) -> Score:
    interval = binomtest(hits, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Score(hits / trials, float(interval.low), float(interval.high), trials)


def _resample(
    columns: Int64[np.ndarray, "fields units"], *, seed: int
) -> tuple[Int64[np.ndarray, "fields kinds"], Int64[np.ndarray, "resamples kinds"]]:
    """Distinct columns, and how often each is drawn in every resample of all units."""
    kinds, counts = np.unique(columns, axis=1, return_counts=True)
    num_units = columns.shape[1]
    generator = np.random.default_rng(seed)
    return kinds, generator.multinomial(num_units, counts / num_units, size=NUM_RESAMPLES)
