"""What the calibration error of few images says about that of all.

ECE adds sizes of gaps, and noise has a size too: a perfectly calibrated model has an ECE above 0
on every sample (Kumar et al. 2019, arXiv 1909.10155, section 5; Roelofs et al. 2022, arXiv
2012.08668). So

- ``cross_fitted_ece`` takes the sign of a bin's gap from the other images of the bin:

      (1 / n) sum_i d_i sign(sum of d_j over the others in i's bin),    d = correct - confidence.

  d_i is independent of the others, so its expectation is exactly 0 for a calibrated model, and
  never above the true ECE of the bins. It may be slightly negative.
- ``ece_limits`` inverts a test. Were the gaps kappa times a pattern, with hits drawn anew
  (binomially within each bin, bins multinomially), an ECE as large or as small as the found one
  must not be rarer than 2.5 %. The interval is the hull of those of four patterns, the gaps found,
  their mean in all bins, and both with the other sign: of a few images with none right the model
  may well be right more often than it is sure. It begins at 0 where a calibrated model could have
  been as bad by chance.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from eval.metrics.effective_trials import TAIL, Limits, containing

METHOD = "inverted test of the size of the gaps"

_DRAWS = 1000
_HALVINGS = 14


class BinnedGaps(NamedTuple):
    """Images by bin of confidence.

    Attributes:
        bins: of each image.
        gaps: correct (0 or 1) minus confidence, of each image.
        confidence: of each image.
    """

    bins: Int64[np.ndarray, " images"]
    gaps: Float64[np.ndarray, " images"]
    confidence: Float64[np.ndarray, " images"]


def cross_fitted_ece(images: BinnedGaps) -> float:
    """The debiased ECE; images that are alone in their bin add nothing."""
    totals = np.bincount(images.bins, weights=images.gaps)
    others = totals[images.bins] - images.gaps
    others[np.bincount(images.bins)[images.bins] == 1] = 0.0
    return float((images.gaps * np.sign(others)).mean())


def ece_limits(images: BinnedGaps, *, seed: int) -> Limits:
    """95% interval of the ECE, over the same bins, of endless images.

    Args:
        images: at least one.
        seed: of the draws.
    """
    counts = np.bincount(images.bins)
    used = counts > 0
    bins = _Bins(
        counts[used],
        np.bincount(images.bins, weights=images.confidence)[used] / counts[used],
        np.bincount(images.bins, weights=images.gaps)[used] / counts[used],
        np.random.default_rng(seed).multinomial(
            len(images.bins), counts[used] / len(images.bins), size=_DRAWS
        ),
        seed,
    )
    ends = [_search(bins, pattern) for pattern in _patterns(bins)]
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    return containing(bins.found, low, high, METHOD)


class _Bins(NamedTuple):
    counts: Int64[np.ndarray, " bins"]
    confidence: Float64[np.ndarray, " bins"]
    gaps: Float64[np.ndarray, " bins"]
    drawn_counts: Int64[np.ndarray, "draws bins"]
    seed: int

    @property
    def found(self) -> float:
        return float(self.counts @ np.abs(self.gaps)) / float(self.counts.sum())

    def limited(self, gaps: np.ndarray) -> np.ndarray:
        """Gaps as far as accuracy stays in [0, 1]."""
        return np.clip(self.confidence + gaps, 0.0, 1.0) - self.confidence

    def error_of(self, gaps: np.ndarray) -> float:
        return float(self.counts @ np.abs(gaps)) / float(self.counts.sum())

    def drawn(self, gaps: np.ndarray) -> Float64[np.ndarray, " draws"]:
        """ECE of as many images, drawn where the bins have these gaps."""
        generator = np.random.default_rng([self.seed, 1])
        shares = np.clip(self.confidence + gaps, 0.0, 1.0)
        hits = generator.binomial(self.drawn_counts, shares)
        errors = np.abs(hits - self.drawn_counts * self.confidence)
        return errors.sum(axis=1) / float(self.counts.sum())


def _patterns(bins: _Bins) -> list[np.ndarray]:
    """Gaps as found and one and the same in all bins (noise adds least to that), of both signs."""
    mean = float(bins.counts @ bins.gaps) / float(bins.counts.sum())
    same = np.full(len(bins.gaps), mean if abs(mean) > 1e-9 else 1.0)
    both = [sign * pattern for pattern in (bins.gaps, same) for sign in (1.0, -1.0)]
    return [pattern for pattern in both if np.abs(pattern).max() > 1e-9]


def _search(bins: _Bins, pattern: np.ndarray) -> tuple[float, float]:
    """Least and greatest true ECE among multiples of a pattern that are not contradicted."""
    found, step = bins.found, 1e-12

    def is_high_enough(factor: float) -> bool:
        drawn = bins.drawn(bins.limited(factor * pattern))
        return bool((drawn >= found - step).mean() >= TAIL)

    def is_low_enough(factor: float) -> bool:
        drawn = bins.drawn(bins.limited(factor * pattern))
        return bool((drawn <= found + step).mean() >= TAIL)

    top = float((1 / np.abs(pattern[np.abs(pattern) > 1e-9])).min()) * 2
    low = 0.0 if is_high_enough(0.0) else _crossing(is_high_enough, top)
    high = 0.0 if not is_low_enough(0.0) else _crossing(lambda f: not is_low_enough(f), top)
    errors = [bins.error_of(bins.limited(factor * pattern)) for factor in (low, high)]
    return errors[0], errors[1]


def _crossing(holds: Callable[[float], bool], top: float) -> float:
    """Where a condition that grows with the factor begins to hold, from 0 to the top."""
    least, most = 0.0, top
    for _ in range(_HALVINGS):
        middle = (least + most) / 2
        least, most = (least, middle) if holds(middle) else (middle, most)
    return (least + most) / 2
