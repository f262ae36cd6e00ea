import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom

from eval.errors import EvaluationError
from eval.metrics.paired import paired_means, paired_shares


def _pairs(both: int, only_first: int, only_second: int, neither: int):
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return np.array(first), np.array(second)


def test_p_value_is_that_of_a_fair_coin() -> None:
    """McNemar: of the images only one model has right, each model should have half."""
    result = paired_shares(*_pairs(40, 9, 2, 10))
    tail = sum(math.comb(11, k) for k in range(9, 12)) / 2**11
    assert result.p_value == pytest.approx(2 * tail)
    assert (result.only_first, result.only_second) == (9, 2)
    assert result.difference.value == pytest.approx(7 / 61)
    assert result.difference.low > 0


def test_interval_covers_the_true_difference_as_often_as_it_says() -> None:
    """All tables of 20 images are weighed by their multinomial probability."""
    shares = (0.5, 0.25, 0.1, 0.15)
    truth, n, covered = shares[1] - shares[2], 20, 0.0
    for b, c in itertools.product(range(n + 1), repeat=2):
        if b + c > n:
            continue
        weight = binom.pmf(b, n, shares[1]) * binom.pmf(c, n - b, shares[2] / (1 - shares[1]))
        if weight < 1e-4:
            continue
        rest = n - b - c
        for both in range(rest + 1):
            of_rest = binom.pmf(both, rest, shares[0] / (shares[0] + shares[3]))
            if weight * of_rest < 1e-4:
                continue
            score = paired_shares(*_pairs(both, b, c, rest - both)).difference
            covered += weight * of_rest * (score.low <= truth <= score.high)
    assert 0.93 < covered < 0.98


def test_agreement_narrows_the_interval_and_order_only_turns_it() -> None:
    agreeing = paired_shares(*_pairs(60, 8, 2, 30)).difference
    opposed = paired_shares(*_pairs(34, 34, 28, 4)).difference
    assert agreeing.value == pytest.approx(opposed.value)
    assert agreeing.high - agreeing.low < 0.5 * (opposed.high - opposed.low)
    turned = paired_shares(*_pairs(60, 2, 8, 30)).difference
    assert turned.value == -agreeing.value
    assert (turned.low, turned.high) == (
        pytest.approx(-agreeing.high),
        pytest.approx(-agreeing.low),
    )


@pytest.mark.parametrize(
    "table", [(5, 0, 0, 0), (0, 0, 0, 5), (3, 0, 0, 2), (0, 5, 0, 0), (1, 0, 0, 0)]
)
def test_degenerate_tables_keep_an_interval_around_the_value(table) -> None:
    result = paired_shares(*_pairs(*table))
    score = result.difference
    assert -1 <= score.low <= score.value <= score.high <= 1
    assert score.high - score.low > 0.1
    assert 0 < result.p_value <= 1


def test_means_match_the_normal_theory() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(1.0, 1.0, 500)
    second = first - rng.normal(0.2, 0.5, 500)
    score = paired_means(first, second, seed=0)
    half = 1.96 * (first - second).std() / math.sqrt(500)
    assert score.value == pytest.approx((first - second).mean())
    assert score.high - score.low == pytest.approx(2 * half, rel=0.1)
    assert score == paired_means(first, second, seed=0)


def test_captions_of_an_image_are_drawn_together() -> None:
    rng = np.random.default_rng(1)
    of_image = rng.normal(size=200)
    images = np.repeat(np.arange(200) * 7, 5)  # numbers need not be consecutive
    captions = np.repeat(of_image, 5)
    zeros = np.zeros(1000)
    apart = paired_means(captions, zeros, seed=0)
    together = paired_means(captions, zeros, images=images, seed=0)
    alone = paired_means(of_image, np.zeros(200), seed=0)
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.01)
    assert apart.high - apart.low < 0.6 * (together.high - together.low)
    assert (together.n, alone.n) == (1000, 200)


def test_no_common_images_is_one_clear_line() -> None:
    nothing = np.zeros(0)
    with pytest.raises(EvaluationError, match="there are none"):
        paired_shares(nothing.astype(bool), nothing.astype(bool))
    with pytest.raises(EvaluationError, match="there are none"):
        paired_means(nothing, nothing, seed=0)
