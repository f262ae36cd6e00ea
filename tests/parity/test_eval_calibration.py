"""Calibration against torchmetrics, scikit-learn and float64 loops over the published sums.

Guo et al. 2017, arXiv 1706.04599: equations 2 to 4 (ECE) and section 4.2 (temperature).
"""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss
from torchmetrics.functional.classification import multiclass_calibration_error

from eval.errors import EvaluationError
from eval.metrics.calibration import (
    ImageCalibration,
    calibration_scores,
    expected_calibration_error,
    reliability_bins,
    summarize_chunks,
)
from eval.metrics.temperature import fit_temperature, seeded_half


def _case(
    num_images: int, num_classes: int, *, sharpness: float, seed: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(num_classes, (num_images,), generator=generator)
    logits = torch.randn(num_images, num_classes, generator=generator)
    logits[torch.arange(num_images), labels] += 1.5
    return sharpness * logits, labels


def _chunks(logits: torch.Tensor, labels: torch.Tensor, size: int = 64) -> Iterator:
    return zip(logits.split(size), labels.split(size), strict=True)


def _probabilities(row: list[float]) -> list[float]:
    powers = [math.exp(value - max(row)) for value in row]
    return [power / sum(powers) for power in powers]


@pytest.mark.parametrize("num_classes", [2, 10, 300])
@pytest.mark.parametrize("sharpness", [0.3, 1.0, 4.0])
def test_ece_equals_torchmetrics(num_classes: int, sharpness: float) -> None:
    logits, labels = _case(700, num_classes, sharpness=sharpness)
    ours = expected_calibration_error(summarize_chunks(_chunks(logits, labels)))
    theirs = multiclass_calibration_error(
        logits.double().softmax(dim=1), labels, num_classes, n_bins=15, norm="l1"
    )
    assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_nll_and_brier_equal_loops_and_scikit_learn() -> None:
    logits, labels = _case(60, 7, sharpness=2.0)
    scores = calibration_scores(summarize_chunks(_chunks(logits, labels)), seed=0)
    probabilities = [_probabilities(row) for row in logits.double().tolist()]
    brier = [
        sum((p - (c == label)) ** 2 for c, p in enumerate(row))
        for row, label in zip(probabilities, labels.tolist(), strict=True)
    ]
    assert scores["nll"].value == pytest.approx(log_loss(labels, probabilities), abs=1e-12)
    assert scores["brier"].value == pytest.approx(sum(brier) / 60, abs=1e-12)


def test_bins_equal_a_loop_and_edges_belong_to_the_bin_above() -> None:
    confidence = np.array([0.2, 1 / 3, 0.34, 0.399, 0.4, 0.99, 1.0, 1.0])
    is_correct = np.array([0, 1, 0, 1, 1, 1, 1, 0], dtype=bool)
    images = ImageCalibration(confidence, is_correct, confidence, confidence)
    counts, ece = [0] * 15, 0.0
    for m in range(15):
        low, high = m / 15, (m + 1) / 15 if m < 14 else 2.0
        inside = [i for i, value in enumerate(confidence) if low <= value < high]
        counts[m] = len(inside)
        ece += abs(sum(is_correct[inside]) - sum(confidence[inside])) / len(confidence)
    bins = reliability_bins(images)
    assert bins.counts.tolist() == counts
    assert bins.counts[5] == 3
    assert bins.counts[14] == 3
    assert expected_calibration_error(images) == pytest.approx(ece, abs=1e-12)
    assert bins.accuracy[14] == pytest.approx(2 / 3)
    assert np.isnan(bins.accuracy[0])


def test_chunks_do_not_matter() -> None:
    logits, labels = _case(100, 5, sharpness=1.0)
    whole = summarize_chunks([(logits, labels)])
    for mine, theirs in zip(summarize_chunks(_chunks(logits, labels, 7)), whole, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("label", [0, 1])
def test_equal_logits_go_to_the_first_class(label: int) -> None:
    images = summarize_chunks([(torch.zeros(1, 4), torch.tensor([label]))])
    assert images.is_correct.tolist() == [label == 0]
    assert images.nll[0] == pytest.approx(math.log(4))
    assert images.brier[0] == pytest.approx(0.75)
    scores = calibration_scores(images, seed=0)
    assert scores["ece"].value == pytest.approx(0.75 if label == 0 else 0.25)
    assert not scores.pop("nll").has_interval  # one value without an upper bound
    assert all(score.low <= score.value <= score.high for score in scores.values())


def test_certainty_costs_nothing_when_right_and_stays_finite_when_wrong() -> None:
    logits = torch.tensor([[900.0, 0.0], [900.0, 0.0]])
    images = summarize_chunks([(logits, torch.tensor([0, 1]))])
    assert images.nll.tolist() == [0.0, 900.0]
    assert images.brier.tolist() == [0.0, 2.0]
    assert expected_calibration_error(images) == 0.5


def test_intervals_are_seeded_and_shrink_with_the_number_of_images() -> None:
    widths = []
    for num_images in (200, 3200):
        images = summarize_chunks(_chunks(*_case(num_images, 6, sharpness=2.0)))
        scores = calibration_scores(images, seed=3)
        assert scores == calibration_scores(images, seed=3)
        widths.append({name: score.high - score.low for name, score in scores.items()})
        half = 1.96 * images.nll.std() / math.sqrt(num_images)
        assert scores["nll"].high - scores["nll"].low == pytest.approx(2 * half, rel=0.15)
    for name in ("ece", "nll", "brier"):
        assert widths[0][name] / widths[1][name] == pytest.approx(4.0, rel=0.5)


def test_a_calibrated_model_may_have_no_error_at_all() -> None:
    """The usual ECE is above 0 by chance alone; the debiased one is 0 in the mean."""
    rng = np.random.default_rng(1)
    debiased, excluded = [], 0
    for seed in range(40):
        confidence = rng.uniform(0.3, 1.0, 300)
        is_right = rng.random(300) < confidence
        images = ImageCalibration(confidence, is_right, confidence, confidence)
        scores = calibration_scores(images, seed=seed)
        excluded += scores["ece"].low > 0
        debiased.append(scores["ece_debiased"].value)
        assert scores["ece"].low <= scores["ece"].value <= scores["ece"].high
    assert excluded <= 5
    assert abs(np.mean(debiased)) < 3 * np.std(debiased) / math.sqrt(40)


@pytest.mark.parametrize("sharpness", [0.2, 1.0, 5.0, 30.0])
def test_temperature_equals_scipys_minimum(sharpness: float) -> None:
    logits, labels = _case(400, 10, sharpness=sharpness)
    fitted = fit_temperature(lambda: _chunks(logits, labels))

    def nll(log_temperature: float) -> float:
        scores = logits.double() / math.exp(log_temperature)
        return float(torch.nn.functional.cross_entropy(scores, labels))

    best = minimize_scalar(nll, bounds=(-6, 6), method="bounded", options={"xatol": 1e-10})
    assert fitted.value == pytest.approx(math.exp(best.x), rel=1e-4)  # flat at the minimum
    assert fitted.nll_after == pytest.approx(best.fun, abs=1e-10)
    assert fitted.nll_before == pytest.approx(nll(0.0), abs=1e-10)
    assert fitted.nll_after <= fitted.nll_before
    scaled = summarize_chunks(_chunks(logits, labels), temperature=fitted.value)
    assert scaled.nll.mean() == pytest.approx(fitted.nll_after, abs=1e-10)
    assert (fitted.num_images, fitted.has_minimum) == (400, True)


def test_temperature_of_scaled_logits_is_scaled() -> None:
    logits, labels = _case(300, 5, sharpness=1.0)
    once = fit_temperature(lambda: _chunks(logits.double(), labels)).value
    tenfold = fit_temperature(lambda: _chunks(10 * logits.double(), labels)).value
    assert tenfold == pytest.approx(10 * once, rel=1e-8)


def test_temperature_without_a_minimum_says_so() -> None:
    right = torch.eye(4), torch.arange(4)
    cold = fit_temperature(lambda: [right])
    assert not cold.has_minimum
    assert 1e-3 <= cold.value < 0.1
    assert cold.nll_after < 1e-6
    wrong = torch.eye(4), (torch.arange(4) + 1) % 4
    hot = fit_temperature(lambda: [wrong])
    assert not hot.has_minimum
    assert hot.value == pytest.approx(1e3, rel=0.01)
    constant = torch.zeros(4, 3), torch.tensor([0, 1, 2, 0])
    flat = fit_temperature(lambda: [constant])
    assert (flat.value, flat.has_minimum) == (1.0, False)


def test_half_is_by_id_whatever_the_order() -> None:
    uids = [f"image-{i}" for i in range(101)]
    half = seeded_half(uids, seed=0)
    assert half.sum() == 50
    order = np.random.default_rng(0).permutation(101)
    np.testing.assert_array_equal(seeded_half([uids[i] for i in order], seed=0), half[order])
    assert (seeded_half(uids, seed=1) != half).any()
    twice = seeded_half(uids + uids, seed=0)
    np.testing.assert_array_equal(twice, np.concatenate([half, half]))


def test_nothing_to_work_on_is_one_clear_line() -> None:
    nothing = torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)
    broken = torch.full((1, 3), torch.nan), torch.zeros(1, dtype=torch.int64)
    with pytest.raises(EvaluationError, match="at least one image"):
        summarize_chunks([nothing])
    with pytest.raises(EvaluationError, match="at least one image"):
        summarize_chunks([])
    with pytest.raises(EvaluationError, match="NaN"):
        summarize_chunks([broken])
    with pytest.raises(EvaluationError, match="no images"):
        fit_temperature(lambda: [nothing])
    with pytest.raises(EvaluationError, match="NaN"):
        fit_temperature(lambda: [broken])
    with pytest.raises(EvaluationError, match="larger data set"):
        seeded_half(["only", "only"], seed=0)
