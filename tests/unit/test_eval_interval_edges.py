"""Intervals at the edges: perfect scores, one image, equal values, few clusters, tiny groups."""

import json
import math

import numpy as np
import pytest
from scipy.stats import beta, binom, norm

from eval.metrics.agreement import cohen_kappa
from eval.metrics.auroc_interval import auroc_limits
from eval.metrics.average_precision import mean_average_precision
from eval.metrics.bleu import bleu_counts, bleu_scores
from eval.metrics.clustered import clustered_mean
from eval.metrics.detection import detection_scores
from eval.metrics.effective_trials import effective_limits
from eval.metrics.extremes import Group, maximum_limits, minimum_limits, spread_limits
from eval.metrics.groups import macro_f1, worst_group_accuracy
from eval.metrics.intervals import per_class_score, wilson_limits, wilson_score
from eval.metrics.mean_intervals import difference_of_shares_limits, mean_limits
from eval.metrics.paired import paired_means, paired_shares
from eval.metrics.unpaired import independent_difference
from eval.results import Score


def _each(n: int) -> np.ndarray:
    return np.arange(n)


PERFECT = {
    "wilson": lambda n: wilson_score(np.ones(n, dtype=bool)),
    "clustered_mean": lambda n: clustered_mean(np.ones(n), _each(n), seed=0),
    "equal inside": lambda n: clustered_mean(np.full(n, 0.4), _each(n), seed=0),
    "cider": lambda n: clustered_mean(
        np.full(n, 3.0), _each(n), seed=0, unit="number", bounds=(0.0, 10.0)
    ),
    "paired_means": lambda n: paired_means(np.ones(n), np.ones(n), unit="points", seed=0),
    "per_class": lambda n: per_class_score(np.ones(n, dtype=bool), _each(n) % 3, seed=0),
    "macro_f1": lambda n: macro_f1(_each(n) % 2, _each(n) % 2, seed=0),
    "worst group": lambda n: worst_group_accuracy(np.ones(n, dtype=bool), _each(n) % 2, seed=0),
    "map": lambda n: mean_average_precision(
        np.eye(n, 2) * 2.0 - 1, np.eye(n, 2, dtype=bool), seed=0
    ),
    "auroc": lambda n: detection_scores(np.ones(n), np.zeros(n), seed=0)["auroc"],
    "aupr": lambda n: detection_scores(np.ones(n), np.zeros(n), seed=0)["aupr_in"],
    "fpr95": lambda n: detection_scores(np.ones(n), np.zeros(n), seed=0)["fpr95_id"],
    "bleu": lambda n: bleu_scores(bleu_counts([list("abcd")] * n, [[list("abcd")]] * n), seed=0)[
        "bleu_4"
    ],
}


@pytest.mark.parametrize("name", PERFECT)
@pytest.mark.parametrize("n", [1, 2, 5, 40])
def test_no_interval_has_no_width(name: str, n: int) -> None:
    score: Score = PERFECT[name](n)
    assert score.low <= score.value <= score.high
    # One image of n may be all that is wrong.
    assert score.high - score.low > 0.3 / max(n, 2)
    assert score.method


def test_without_bounds_equal_values_have_no_interval_and_say_why() -> None:
    for values in (np.full(9, 2.5), np.array([2.5])):
        score = clustered_mean(values, _each(len(values)), seed=0, unit="nats")
        assert not score.has_interval
        assert score.method.startswith("no interval: ")
        again = Score.from_dict(json.loads(json.dumps(score.to_dict(), allow_nan=False)))
        assert math.isnan(again.low)
        assert (again.value, again.method) == (score.value, score.method)


def test_an_old_score_without_a_method_is_read() -> None:
    old = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 9, "unit": "share", "lower_is_better": False}
    assert Score.from_dict(old) == Score(0.5, 0.4, 0.6, 9)


@pytest.mark.parametrize("n", [5, 30, 200])
def test_shares_are_covered_at_every_p(n: int) -> None:
    """Exact, by the binomial distribution; Wilson's own interval falls to 84 %."""
    ends = [wilson_limits(hits, n) for hits in range(n + 1)]
    low, high = np.array([e.low for e in ends]), np.array([e.high for e in ends])
    for p in np.concatenate([np.linspace(0.02, 8, 300) / n, np.linspace(0.02, 0.5, 100)]):
        if p <= 0.5:
            held = binom.pmf(np.arange(n + 1), n, p) @ ((low <= p) & (p <= high))
            assert held > 0.92


def test_few_bounded_values_have_clopper_and_pearsons_interval_where_they_are_hits() -> None:
    limits = mean_limits(np.array([1.0, 0, 0, 1, 0, 1]), _each(6), bounds=(0.0, 1.0), seed=0)
    expected = beta.ppf(0.025, 3, 4), beta.ppf(0.975, 4, 3)
    assert (limits.low, limits.high) == pytest.approx(expected, abs=0.02)


def test_effective_trials_are_the_trials_of_a_share() -> None:
    error = math.sqrt(0.3 * 0.7 / 1000)
    limits = effective_limits(0.3, error, units=1e9)
    expected = beta.ppf(0.025, 300, 701), beta.ppf(0.975, 301, 700)
    assert (limits.low, limits.high) == pytest.approx(expected, abs=1e-6)
    plain = effective_limits(5.0, 2.0, units=1e9, bounds=None)
    assert plain.high == pytest.approx(5 + 2 * norm.ppf(0.975), abs=1e-4)


@pytest.mark.parametrize("clusters", [5, 25])
def test_few_clusters_are_covered(clusters: int) -> None:
    """The percentile bootstrap covered 85 % at five."""
    rng = np.random.default_rng(3)
    held = 0
    owners = np.repeat(np.arange(clusters), 6)
    for _ in range(300):
        of_cluster = (rng.random(clusters) < 0.7)[owners]
        alone = rng.random(len(owners)) < 0.7
        own = np.where(rng.random(len(owners)) < 0.5, of_cluster, alone)
        limits = mean_limits(own.astype(float), owners, bounds=(0.0, 1.0), seed=0)
        held += limits.low <= 0.7 <= limits.high
    assert held / 300 > 0.9


@pytest.mark.parametrize(("groups", "size", "p"), [(5, 50, 0.8), (10, 2, 0.5), (10, 2, 1.0)])
def test_the_worst_group_is_covered(groups: int, size: int, p: float) -> None:
    """48 % and 4 % with the least of resampled groups."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        limits = minimum_limits([Group(int(rng.binomial(size, p)), size) for _ in range(groups)])
        held += limits.low <= p <= limits.high
    assert held / 400 >= 0.94


def test_one_group_is_itself_and_the_best_is_the_worst_turned() -> None:
    one = minimum_limits([Group(7, 10)])
    assert (one.low, one.high) == pytest.approx((beta.ppf(0.025, 7, 4), beta.ppf(0.975, 8, 3)))
    groups, turned = [Group(7, 10), Group(2, 9)], [Group(3, 10), Group(7, 9)]
    least, greatest = minimum_limits(turned), maximum_limits(groups)
    assert (1 - least.high, 1 - least.low) == pytest.approx(greatest[:2])
    assert spread_limits([Group(3, 9)])[:2] == (0.0, 0.0)


def test_a_tiny_class_widens_the_mean_of_recalls() -> None:
    labels = np.array([2] * 2 + [0] * 500 + [1] * 500)
    hits = np.array([True, True] + [True] * 450 + [False] * 50 + [True] * 400 + [False] * 100)
    score = per_class_score(hits, labels, seed=0)
    # The third class may well be right half of the time.
    assert score.low < (0.9 + 0.8 + 0.5) / 3


def test_differences_of_few_are_not_certain() -> None:
    gains = np.zeros(200)
    gains[:2] = 1
    limits = difference_of_shares_limits(gains, _each(200))
    assert limits.low < 0.0 < 0.01 < limits.high
    same = difference_of_shares_limits(np.zeros(200), _each(200))
    assert (same.low, same.high) == pytest.approx((-same.high, 1 - 0.025 ** (1 / 200)))
    both = paired_shares(gains > 0, gains < 0).difference
    assert both.method
    assert independent_difference(wilson_score(gains > 0), wilson_score(gains < 0)).method


def test_judges_who_always_agree_may_differ_elsewhere() -> None:
    answers = np.array([0, 1] * 6)
    score = cohen_kappa(answers, answers, num_answers=2)
    assert score is not None
    share = 1 - 0.025 ** (1 / 12)
    assert (score.low, score.high) == pytest.approx((1 - share / 0.5, 1.0))


def test_an_area_near_1_is_covered() -> None:
    """88.9 % with DeLong's variance alone."""
    rng = np.random.default_rng(4)
    truth = norm.cdf(4 / math.sqrt(2))
    drawn = [auroc_limits(rng.normal(4, 1, 100), rng.normal(size=100)) for _ in range(300)]
    assert sum(limits.low <= truth <= limits.high for limits in drawn) / 300 >= 0.95
    assert "at least 95%" in drawn[0].method
