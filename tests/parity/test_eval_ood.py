"""Out-of-distribution scores against loops, and their figures against scikit-learn.

The two FPR95 loops follow the conventions of deeplearning-wisc/MCM and Jingkang50/OpenOOD in
words; they share no code with either or with the product.
"""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from sklearn.neighbors import NearestNeighbors

from eval.errors import EvaluationError
from eval.metrics.detection import detection_scores, detection_values
from eval.metrics.effective_trials import EFFECTIVE, all_equal_limits, effective_limits
from eval.metrics.ood_detection import (
    energy_score,
    max_logit_score,
    max_softmax_score,
    nearest_neighbour_score,
)
from eval.metrics.ranking_area import average_precision_limits


def _unit(count: int, dim: int, seed: int) -> torch.Tensor:
    vectors = torch.randn(count, dim, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(vectors, dim=1)


@pytest.mark.parametrize("temperature", [1.0, 0.01])
def test_scores_of_one_image_equal_the_formulas(temperature: float) -> None:
    cosines = _unit(5, 40, 0) @ _unit(12, 40, 1).T
    for row, mcm, top, energy in zip(
        cosines.double().tolist(),
        max_softmax_score(cosines, temperature=temperature).tolist(),
        max_logit_score(cosines).tolist(),
        energy_score(cosines, temperature=temperature).tolist(),
        strict=True,
    ):
        powers = [math.exp(u / temperature) for u in row]
        assert mcm == pytest.approx(max(powers) / sum(powers), rel=1e-12)
        assert top == max(row)
        assert energy == pytest.approx(temperature * math.log(sum(powers)), rel=1e-10)


@pytest.mark.parametrize("scores_at_a_time", [1, 100, 2**20])
@pytest.mark.parametrize("k", [1, 7, 50])
def test_nearest_neighbours_equal_scikit_learn(k: int, scores_at_a_time: int) -> None:
    images, bank = _unit(23, 16, 0), _unit(50, 16, 1)
    images[0] = bank[3]
    ours = nearest_neighbour_score(images, bank, k=k, scores_at_a_time=scores_at_a_time)
    reference = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(bank.double())
    distances, _ = reference.kneighbors(images.double())
    np.testing.assert_allclose(-ours.numpy(), distances[:, -1], atol=1e-6)
    if k == 1:
        assert ours[0] == 0.0


def test_too_few_neighbours_are_refused() -> None:
    with pytest.raises(EvaluationError, match="between 1 and 5"):
        nearest_neighbour_score(_unit(2, 4, 0), _unit(5, 4, 1), k=6)


def _fpr95_id_loop(inside: np.ndarray, outside: np.ndarray) -> float:
    """From the lowest threshold that all ID pass, upwards: the first with recall nearest 95%."""
    thresholds = [t for t in sorted({*inside, *outside}) if t <= min(inside)][-1:]
    thresholds += [t for t in sorted({*inside, *outside}) if t > min(inside)]
    best, best_distance = 0.0, math.inf
    for threshold in thresholds:
        recall = sum(value >= threshold for value in inside) / len(inside)
        if abs(recall - 0.95) < best_distance:
            best_distance = abs(recall - 0.95)
            best = sum(value >= threshold for value in outside) / len(outside)
    return best


def _fpr95_ood_loop(inside: np.ndarray, outside: np.ndarray) -> float:
    """Thresholds rise until at least 95% of OOD lie at or below; share of ID that do too."""
    for threshold in sorted({*inside, *outside}):
        if sum(value <= threshold for value in outside) / len(outside) >= 0.95:
            return sum(value <= threshold for value in inside) / len(inside)
    raise AssertionError("the highest score has all")


def _cases() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    cases = [
        (rng.normal(1, 1, inside), rng.normal(0, 1, outside))
        for inside, outside in ((200, 150), (37, 400), (19, 20), (20, 19), (1, 30), (30, 1), (1, 1))
    ]
    tied = [(np.round(inside), np.round(outside)) for inside, outside in cases]
    same = [(np.zeros(8), np.zeros(5)), (np.ones(4), np.zeros(9)), (np.zeros(4), np.ones(9))]
    return [*cases, *tied, *same]


@pytest.mark.parametrize(("inside", "outside"), _cases())
def test_figures_equal_scikit_learn_and_loops(inside: np.ndarray, outside: np.ndarray) -> None:
    values = detection_values(inside, outside)
    is_inside = np.arange(len(inside) + len(outside)) < len(inside)
    scores = np.concatenate([inside, outside])
    rejected, caught, _ = roc_curve(~is_inside, -scores, drop_intermediate=False)
    expected = {
        "auroc": roc_auc_score(is_inside, scores),
        "aupr_in": average_precision_score(is_inside, scores),
        "aupr_out": average_precision_score(~is_inside, -scores),
        "fpr95_id": _fpr95_id_loop(inside, outside),
        "fpr95_ood": _fpr95_ood_loop(inside, outside),
    }
    assert values == pytest.approx(expected, abs=1e-9)
    assert values["fpr95_ood"] == rejected[np.argmax(caught >= 0.95)]


@pytest.mark.parametrize(("inside", "outside"), _cases())
def test_the_jackknife_equals_leaving_each_image_out(
    inside: np.ndarray, outside: np.ndarray
) -> None:
    """Areas, with ties, by scikit-learn without one image after the other."""
    is_inside = np.arange(len(inside) + len(outside)) < len(inside)
    scores = np.concatenate([inside, outside])
    area = average_precision_score(is_inside, scores)
    limits = average_precision_limits(inside, outside)
    assert limits.low <= area <= limits.high
    if min(len(inside), len(outside)) < 2:
        assert limits.high - limits.low > 0.9
        return
    without = np.array(
        [
            average_precision_score(np.delete(is_inside, i), np.delete(scores, i))
            for i in range(len(scores))
        ]
    )
    sides = without[: len(inside)], without[len(inside) :]
    error = math.sqrt(sum((len(s) - 1) * s.var() for s in sides))
    bias = sum((len(s) - 1) * (s.mean() - area) for s in sides)
    fewest = float(min(len(inside), len(outside)))
    ends = effective_limits(area, error, units=fewest)
    moved = effective_limits(min(max(area - bias, 0.0), 1.0), error, units=fewest)
    if ends.method == EFFECTIVE:
        hull = [ends, moved]
        if fewest * (1 - area) < 5:
            hull.append(all_equal_limits(area, units=fewest, bounds=(0.0, 1.0)))
        expected = min(own.low for own in hull), max(own.high for own in hull)
        assert (limits.low, limits.high) == pytest.approx(expected, abs=1e-9)
    else:
        assert limits == ends


def test_the_two_conventions_differ_and_turn_into_each_other() -> None:
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(1, 2, 1000), rng.normal(0, 0.5, 1000)
    values, turned = detection_values(inside, outside), detection_values(-outside, -inside)
    assert abs(values["fpr95_id"] - values["fpr95_ood"]) > 0.2
    assert values["fpr95_id"] == pytest.approx(turned["fpr95_ood"], abs=0.01)
    assert values["aupr_in"] == pytest.approx(turned["aupr_out"])
    assert values["auroc"] == pytest.approx(turned["auroc"])


def test_intervals_hold_the_values_and_match_the_normal_theory_of_auroc() -> None:
    """Hanley and McNeil 1982 for equal normal scores: variance (n + m + 1) / (12 n m)."""
    rng = np.random.default_rng(2)
    inside, outside = rng.normal(size=300), rng.normal(size=400)
    scores = detection_scores(inside, outside, seed=0)
    assert scores == detection_scores(inside, outside, seed=0)
    values = detection_values(inside, outside)
    for name, score in scores.items():
        assert score.low <= score.value <= score.high
        assert (score.value, score.n) == (values[name], 700)
    half = 1.96 * math.sqrt(701 / (12 * 300 * 400))
    assert scores["auroc"].high - scores["auroc"].low == pytest.approx(2 * half, rel=0.12)


def test_three_against_three_are_no_certainty() -> None:
    """Newcombe 2006, method 5, by a grid: theta with (1 - theta)^2 = t^2 V(theta)."""
    found = detection_scores(np.array([4.0, 5, 6]), np.array([1.0, 2, 3]), seed=0)["auroc"]
    grid = np.linspace(1e-6, 1 - 1e-6, 200_001)
    variance = grid * (1 - grid) * (1 + 2 * (1 - grid) / (2 - grid) + 2 * grid / (1 + grid)) / 9
    quantile = 2.7764451  # Student's, 4 degrees of freedom
    kept = grid[(1 - grid) ** 2 <= quantile**2 * variance]
    assert (found.low, found.high) == pytest.approx((kept[0], 1.0), abs=1e-4)
    assert found.low < 0.5


@pytest.mark.parametrize(
    ("inside", "outside", "match"),
    [([], [1.0], "no in-dist"), ([1.0], [], "no out-of"), ([math.nan], [1.0], "NaN")],
)
def test_nothing_to_work_on_is_one_clear_line(inside: list, outside: list, match: str) -> None:
    with pytest.raises(EvaluationError, match=match):
        detection_scores(np.array(inside, dtype=float), np.array(outside, dtype=float), seed=0)
