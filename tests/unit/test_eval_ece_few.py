"""The interval of the calibration error covers with very few images, exactly enumerated."""

import numpy as np
import pytest
from scipy.stats import binom

from eval.metrics.ece_interval import BinnedGaps, ece_limits


def _limits(num_right: int, n: int, confidence: float):
    correct = np.arange(n) < num_right
    sure = np.full(n, confidence)
    images = BinnedGaps(np.zeros(n, dtype=np.int64), correct - sure, sure)
    return ece_limits(images, seed=0)


@pytest.mark.parametrize(("n", "confidence"), [(6, 0.126), (6, 0.9), (12, 0.05), (20, 0.3)])
def test_any_true_accuracy_is_covered(n, confidence):
    """Over all numbers of right answers, weighted by their probability."""
    limits = [_limits(right, n, confidence) for right in range(n + 1)]
    for accuracy in np.linspace(0.0, 1.0, 51):
        true = abs(accuracy - confidence)
        covers = np.array([low - 1e-3 <= true <= high + 1e-3 for low, high, _ in limits])
        assert covers @ binom.pmf(np.arange(n + 1), n, accuracy) >= 0.945


def test_none_right_of_six_may_be_far_from_calibrated():
    """With 0 of 6 right, accuracies up to 1 - 0.025 ** (1 / 6) = 0.459 are not contradicted."""
    _, high, _ = _limits(0, 6, 0.126)
    assert high > 0.459 - 0.126
