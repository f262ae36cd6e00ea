"""The objective against plain loops over its definition (arXiv 2306.11065, section 3)."""

import math

import numpy as np
import pytest

from eval.errors import EvaluationError
from eval.xmai.objective import Scores, Weights, objective, parse_weights, ranked, scaled


def _loop(scores: Scores, weights: Weights) -> list[float]:
    """Min-max by hand; equal values: the least counts as 0."""
    totals = [0.0] * len(scores.p)
    for weight, values in zip((weights.p, weights.a, weights.d, weights.t), scores, strict=True):
        least, most = min(values), max(values)
        if least == most:
            least = 0.0
        for i, value in enumerate(values):
            totals[i] += weight * ((value - least) / (most - least) if most != least else 0.0)
    size = sum(abs(weight) for weight in (weights.p, weights.a, weights.d, weights.t))
    return [total / size for total in totals]


@pytest.mark.parametrize("weights", [(1.0, 5.0, 5.0), (1.0, 1.0, 1.0), (1.0, -2.0, 5.0, 3.0)])
def test_matches_a_loop_over_the_definition(weights: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    scores = Scores(*(rng.random(6).round(4) for _ in range(4)))
    found = objective(scores, Weights(*weights))
    assert found == pytest.approx(_loop(scores, Weights(*weights)), abs=1e-5)


def test_hand_made_case() -> None:
    scores = Scores(
        np.array([0.6, 0.2, 0.4]),
        np.array([0.5, 0.5, 0.5]),
        np.array([0.70, 0.80, 0.75]),
        np.array([0.0, 0.0, 0.0]),
    )
    # p^ = 1, 0, .5; a^ = 1, 1, 1 (all equal, above 0); d^ = 0, 1, .5; t^ = 0
    expected = [(1 + 5 + 0) / 11, (0 + 5 + 5) / 11, (0.5 + 5 + 2.5) / 11]
    assert objective(scores, Weights(1.0, 5.0, 5.0, 0.0)) == pytest.approx(expected, abs=1e-5)


def test_equal_values_take_zero_for_the_least() -> None:
    assert scaled(np.array([0.3, 0.3])).tolist() == [1.0, 1.0]
    assert scaled(np.array([0.0, 0.0])).tolist() == [0.0, 0.0]
    assert scaled(np.array([-0.3, -0.3])).tolist() == [-1.0, -1.0]
    assert scaled(np.array([0.7])).tolist() == [1.0]
    assert not len(scaled(np.array([])))


def test_noise_below_the_rounding_changes_no_choice() -> None:
    rng = np.random.default_rng(1)
    base = rng.random((4, 8)).round(4)
    noisy = base + rng.uniform(-3e-6, 3e-6, base.shape)
    weights = parse_weights("paper")
    assert objective(Scores(*base), weights).tolist() == objective(Scores(*noisy), weights).tolist()


def test_ties_go_by_the_alphabet() -> None:
    assert ranked(["pear", "fig", "apple"], np.array([0.5, 0.7, 0.5])) == [1, 2, 0]


def test_presets_and_numbers() -> None:
    assert parse_weights("paper") == Weights(1.0, 5.0, 5.0, 0.0)
    assert parse_weights("readme") == Weights(1.0, 1.0, 1.0, 0.0)
    assert parse_weights("1,2,3,4") == Weights(1.0, 2.0, 3.0, 4.0)


@pytest.mark.parametrize("text", ["0,0,0", "best", "1,2", f"1,{math.inf},1", "1,2,3,4,5"])
def test_refuses_weights_that_say_nothing(text: str) -> None:
    with pytest.raises(EvaluationError, match="--weights"):
        parse_weights(text)
