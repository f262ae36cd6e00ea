"""Holm's correction, against the closed test that it shortens."""

from itertools import combinations

import numpy as np
import pytest

from eval.metrics.paired import paired_units
from eval.metrics.several_tests import holm


def _closed(p_values: list[float]) -> list[float]:
    """The greatest Bonferroni p of all families that a hypothesis is in (Marcus et al. 1976)."""
    places = range(len(p_values))
    families = [c for size in range(1, len(p_values) + 1) for c in combinations(places, size)]
    return [
        max(min(1.0, len(own) * min(p_values[i] for i in own)) for own in families if place in own)
        for place in places
    ]


@pytest.mark.parametrize("seed", range(5))
def test_holm_is_the_closed_bonferroni_test(seed: int) -> None:
    p_values = (np.random.default_rng(seed).random(6) ** 3).tolist()
    assert holm(p_values) == pytest.approx(_closed(p_values))


def test_holm_of_none_and_of_one() -> None:
    assert holm([]) == []
    assert holm([0.04]) == [0.04]


def test_equal_models_are_seldom_marked_in_any_of_many_scores() -> None:
    rng = np.random.default_rng(0)
    marked = [min(holm(rng.random(400).tolist())) <= 0.05 for _ in range(200)]
    assert np.mean(marked) <= 0.09


def test_sign_flips_are_those_written_out() -> None:
    first = np.array([1.0, 1, 1, 0, 1, 1, 0, 0, 1, 1])
    second = np.array([0.0, 1, 0, 0, 0, 1, 1, 0, 0, 0])
    images = np.array([4, 4, 7, 7, 9, 9, 9, 2, 2, 2])
    found = paired_units(first, second, images)
    sums = np.array([1.0, 1.0, 0.0, 2.0])  # by image; the third has one of each
    total, signs = abs(sums.sum()), (-1.0, 1.0)
    every = [abs(a + b + 2 * c) for a in signs for b in signs for c in signs]
    assert found.p_value == pytest.approx(np.mean([one >= total for one in every]))
    assert (found.only_first, found.only_second) == (3, 0)
    assert found.difference.value == pytest.approx(0.4)
    nothing = paired_units(first, first, images)
    assert (nothing.p_value, nothing.difference.value) == (1.0, 0.0)
    assert nothing.difference.low < 0 < nothing.difference.high
