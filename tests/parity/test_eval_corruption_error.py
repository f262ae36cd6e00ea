"""CE and mCE by the definition; flips and top-5 distance by loops over frames.

Hendrycks and Dietterich 2019, arXiv 1903.12261, sections 4.1 and 4.2.
"""

import numpy as np
import pytest

from eval.errors import EvaluationError
from eval.metrics.alexnet_error import ALEXNET_CLEAN_ERROR, ALEXNET_ERROR
from eval.metrics.corruption_error import (
    corruption_error,
    mce_score,
)
from eval.metrics.perturbation_flips import (
    PERTURBATIONS,
    flip_probability,
    mean_relative_to,
    top5_distance,
)


def _alexnet() -> dict[str, list[float]]:
    """Five severities around AlexNet's mean."""
    return {
        name: [(error + offset) / 100 for offset in (-7, -3, 0, 3, 7)]
        for name, error in ALEXNET_ERROR.items()
    }


def test_alexnet_is_one_and_half_of_it_is_half() -> None:
    itself = corruption_error(_alexnet(), clean_error=ALEXNET_CLEAN_ERROR / 100)
    assert itself.mce == pytest.approx(1.0)
    assert itself.relative_mce == pytest.approx(1.0)
    assert itself.mean_error == pytest.approx(np.mean(list(ALEXNET_ERROR.values())) / 100)
    half = corruption_error({name: [e / 2 for e in cell] for name, cell in _alexnet().items()})
    assert half.mce == pytest.approx(0.5)
    assert (half.relative_ce, half.relative_mce) == ({}, None)


def test_ce_equals_the_sums_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    errors = {name: rng.uniform(0.3, 0.9, 5).tolist() for name in ALEXNET_ERROR}
    result = corruption_error({**errors, "saturate": [0.1]}, clean_error=0.25)
    ratios, relative = [], []
    for name, alexnet in ALEXNET_ERROR.items():
        ours, theirs = sum(errors[name]), 5 * alexnet / 100
        ratios.append(ours / theirs)
        relative.append((ours - 5 * 0.25) / (theirs - 5 * 0.4348))
        assert result.ce[name] == pytest.approx(ratios[-1])
    assert result.mce == pytest.approx(np.mean(ratios))
    assert result.relative_mce == pytest.approx(np.mean(relative))


def test_a_missing_cell_is_refused_by_name() -> None:
    errors = _alexnet()
    del errors["fog"]
    errors["snow"] = errors["snow"][:4]
    with pytest.raises(EvaluationError, match=r"misses snow \(4 of 5\), fog;"):
        corruption_error(errors)
    with pytest.raises(EvaluationError, match="not percent"):
        corruption_error({**_alexnet(), "fog": [80.0] * 5})


def test_interval_of_mce_draws_images_not_cells() -> None:
    """Images that are wrong in all cells or in none leave as many trials as images."""
    rng = np.random.default_rng(0)
    cells = np.broadcast_to(rng.random(400) < 0.6, (5, 400))
    score = mce_score({name: cells.copy() for name in ALEXNET_ERROR}, seed=0)
    factor = np.mean([100 / alexnet for alexnet in ALEXNET_ERROR.values()])
    assert score.value == pytest.approx(cells.mean() * factor)
    half = 1.96 * factor * np.sqrt(cells.mean() * (1 - cells.mean()) / 400)
    assert score.high - score.low == pytest.approx(2 * half, rel=0.1)
    assert score.n == 400
    uneven = {name: cells.copy() for name in ALEXNET_ERROR} | {"fog": cells[:, :9].copy()}
    with pytest.raises(EvaluationError, match="9 to 400 images"):
        mce_score(uneven, seed=0)


def _flips_loop(video: list[int], stride: int, *, is_noise: bool) -> float:
    changes = []
    for start in range(stride):
        frames = video[start::stride]
        reference = frames[0]
        for frame in frames[1:]:
            changes.append(frame != reference)
            reference = reference if is_noise else frame
    return sum(changes) / len(changes)


@pytest.mark.parametrize("difficulty", [1, 2, 3])
@pytest.mark.parametrize("is_noise", [True, False])
def test_flip_probability_equals_a_loop(difficulty: int, is_noise: bool) -> None:
    predictions = np.random.default_rng(0).integers(0, 3, size=(20, 31))
    ours = flip_probability(predictions, is_noise=is_noise, difficulty=difficulty)
    stride = 1 if is_noise else difficulty
    loops = [_flips_loop(video, stride, is_noise=is_noise) for video in predictions.tolist()]
    assert ours == pytest.approx(np.mean(loops))


def test_a_still_prediction_never_flips_and_an_alternating_one_always() -> None:
    still = np.zeros((2, 5), dtype=np.int64)
    alternating = np.tile(np.arange(6) % 2, (2, 1))
    assert flip_probability(still, is_noise=False) == 0.0
    assert flip_probability(alternating, is_noise=False) == 1.0
    assert flip_probability(alternating, is_noise=False, difficulty=2) == 0.0
    assert flip_probability(alternating, is_noise=True) == pytest.approx(3 / 5)


@pytest.mark.parametrize("is_noise", [True, False])
def test_top5_distance_equals_ranks_over_all_classes(is_noise: bool) -> None:
    rng = np.random.default_rng(1)
    rankings = np.stack([[rng.permutation(12) for _ in range(9)] for _ in range(4)])
    expected = []
    for video in rankings.tolist():
        earlier, distances = video[0], []
        for later in video[1:]:
            ranks = [later.index(c) + 1 for c in earlier[:5]]
            distances.append(sum(abs(i - min(rank, 6)) for i, rank in enumerate(ranks, start=1)))
            earlier = earlier if is_noise else later
        expected.append(np.mean(distances))
    ours = top5_distance(rankings[:, :, :5], is_noise=is_noise)
    assert ours == pytest.approx(np.mean(expected))


def test_top5_distance_of_disjoint_lists_is_fifteen() -> None:
    lists = np.array([[[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [9, 8, 7, 6, 5]]])
    assert top5_distance(lists[:, :2], is_noise=False) == 15.0
    assert top5_distance(lists[:, 1:], is_noise=False) == 4 + 2 + 0 + 2 + 4


def test_means_relative_to_a_reference() -> None:
    reference = dict.fromkeys(PERTURBATIONS, 0.2)
    assert mean_relative_to(dict.fromkeys(PERTURBATIONS, 0.1), reference) == pytest.approx(0.5)
    with pytest.raises(EvaluationError, match="misses tilt"):
        mean_relative_to({p: 0.1 for p in PERTURBATIONS if p != "tilt"}, reference)
    with pytest.raises(EvaluationError, match="never changes under snow"):
        mean_relative_to(reference, {**reference, "snow": 0.0})


def test_too_few_frames_are_refused() -> None:
    with pytest.raises(EvaluationError, match="nothing to compare"):
        flip_probability(np.zeros((3, 2), dtype=np.int64), is_noise=False, difficulty=2)
    with pytest.raises(EvaluationError, match="nothing to compare"):
        flip_probability(np.zeros((0, 5), dtype=np.int64), is_noise=True)
