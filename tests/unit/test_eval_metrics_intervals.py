import numpy as np
import pytest

from eval.metrics.accuracy import mean_per_class_recall
from eval.metrics.intervals import cluster_bootstrap_score, per_class_score, wilson_score


def test_wilson_equals_the_closed_form() -> None:
    """Wilson 1927: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)."""
    n, hits, z = 200, 30, 1.959963984540054
    p = hits / n
    middle = p + z**2 / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    score = wilson_score(np.arange(n) < hits)
    assert (score.value, score.n) == (0.15, 200)
    assert score.low == pytest.approx((middle - half) / (1 + z**2 / n))
    assert score.high == pytest.approx((middle + half) / (1 + z**2 / n))


def test_no_hit_and_all_hits_keep_an_interval() -> None:
    none, every = wilson_score(np.zeros(50, dtype=bool)), wilson_score(np.ones(50, dtype=bool))
    assert none.low == pytest.approx(0, abs=1e-12)
    assert 0.05 < none.high < 0.1
    assert every.low == pytest.approx(1 - none.high)


def _captions(num_images: int, per_image: int, *, seed: int, together: bool):
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(num_images), per_image)
    own = rng.random(num_images) < 0.4
    is_hit = own[clusters] if together else rng.random(len(clusters)) < 0.4
    return is_hit, clusters


def test_captions_that_succeed_together_widen_the_interval() -> None:
    """With 5 captions an image that all agree there are only as many trials as images."""
    together, clusters = _captions(400, 5, seed=0, together=True)
    apart, _ = _captions(400, 5, seed=0, together=False)
    wide = cluster_bootstrap_score(together, clusters, seed=0)
    narrow = cluster_bootstrap_score(apart, clusters, seed=0)
    images = wilson_score(together[::5])
    assert wide.high - wide.low == pytest.approx(images.high - images.low, rel=0.1)
    assert narrow.high - narrow.low == pytest.approx((wide.high - wide.low) / np.sqrt(5), rel=0.15)
    assert wide.low <= wide.value <= wide.high
    assert wide.n == 2000


def test_bootstrap_matches_resampling_image_by_image() -> None:
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(60), rng.integers(1, 6, size=60))
    is_hit = rng.random(len(clusters)) < 0.3
    score = cluster_bootstrap_score(is_hit, clusters, seed=0)
    shares = []
    for _ in range(4000):
        drawn = rng.integers(0, 60, size=60)
        chosen = np.concatenate([is_hit[clusters == image] for image in drawn])
        shares.append(chosen.mean())
    low, high = np.quantile(shares, [0.025, 0.975])
    # Both ends are quantiles of some thousand draws; their own error is about 0.005.
    assert (score.low, score.high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))


def test_bootstrap_is_seeded_and_does_not_depend_on_order() -> None:
    is_hit, clusters = _captions(301, 3, seed=1, together=False)
    order = np.random.default_rng(0).permutation(len(is_hit))
    first = cluster_bootstrap_score(is_hit, clusters, seed=7)
    assert first == cluster_bootstrap_score(is_hit[order], clusters[order], seed=7)


@pytest.mark.parametrize("hit", [False, True])
def test_bootstrap_without_spread_falls_back(hit: bool) -> None:
    clusters = np.repeat(np.arange(30), 5)
    score = cluster_bootstrap_score(np.full(150, hit), clusters, seed=0)
    assert score.high - score.low == pytest.approx(1 - 0.025 ** (1 / 30))
    assert score.low <= score.value <= score.high


def test_mean_per_class_recall_weighs_classes_equally() -> None:
    labels = np.array([0, 0, 0, 0, 2])
    is_hit = np.array([True, True, True, False, False])
    assert mean_per_class_recall(is_hit, labels) == pytest.approx((0.75 + 0.0) / 2)


def test_per_class_interval_equals_accuracy_in_a_balanced_set() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(1000) % 10
    is_hit = rng.random(1000) < 0.6
    score, accuracy = per_class_score(is_hit, labels, seed=0), wilson_score(is_hit)
    assert score.value == pytest.approx(accuracy.value)
    assert score.low == pytest.approx(accuracy.low, abs=0.01)
    assert score.high == pytest.approx(accuracy.high, abs=0.01)


def test_per_class_interval_with_one_image_a_class_is_not_empty() -> None:
    is_hit = np.arange(100) < 40
    score = per_class_score(is_hit, np.arange(100), seed=0)
    assert score.value == pytest.approx(0.4)
    assert score.high - score.low > 0.1
