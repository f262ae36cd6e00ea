"""Shape bias and effective robustness against their definitions in loops.

Geirhos et al. 2019, arXiv 1811.12231; Taori et al. 2020, arXiv 2007.00644.
"""

import hashlib
import json
import math

import numpy as np
import pytest
import torch

from eval.errors import EvaluationError
from eval.metrics.effective_robustness import (
    BASELINE_FITS,
    effective_robustness,
    expected_accuracy,
    relative_robustness,
)
from eval.metrics.shape_bias import (
    CATEGORIES,
    CATEGORY_CLASSES,
    category_decisions,
    cue_conflict_categories,
    shape_bias,
)
from eval.results import Score

#: Of the lists "<category>_indices" in modelvshuman/helper/human_categories.py (commit HEAD of
#: bethgelab/model-vs-human in November 2026), as JSON with sorted keys.
PUBLISHED_LISTS = "38f860b2c576faa332251d0dc8147bb3f753fc8806f3a2048f2dc480cce0c63c"


def test_the_classes_of_the_categories_are_the_published_ones() -> None:
    listed = json.dumps({k: list(v) for k, v in CATEGORY_CLASSES.items()}, sort_keys=True)
    assert hashlib.sha256(listed.encode()).hexdigest() == PUBLISHED_LISTS
    assert len(CATEGORIES) == 16
    assert list(CATEGORIES) == sorted(CATEGORIES)
    every = [c for classes in CATEGORY_CLASSES.values() for c in classes]
    assert len(every) == len(set(every)) == 207


def test_decisions_equal_a_loop_over_means() -> None:
    logits = torch.randn(50, 1000, generator=torch.Generator().manual_seed(0))
    probabilities = (3 * logits).softmax(dim=1)
    expected = []
    for row in probabilities.double().tolist():
        means = [
            sum(row[c] for c in classes) / len(classes) for classes in CATEGORY_CLASSES.values()
        ]
        expected.append(means.index(max(means)))
    assert category_decisions(probabilities).tolist() == expected
    assert len(set(expected)) > 5


def test_a_category_does_not_win_by_having_many_classes() -> None:
    probabilities = torch.zeros(2, 1000)
    probabilities[0, list(CATEGORY_CLASSES["dog"])] = 0.9 / len(CATEGORY_CLASSES["dog"])
    probabilities[0, 499] = 0.1
    assert CATEGORIES[int(category_decisions(probabilities)[0])] == "knife"
    assert CATEGORIES[int(category_decisions(probabilities)[1])] == "airplane"  # all equal


def test_shape_bias_equals_counts() -> None:
    rng = np.random.default_rng(0)
    shapes, textures, decisions = rng.integers(0, 4, size=(3, 300))
    shape = texture = total = 0
    for s, t, d in zip(shapes, textures, decisions, strict=True):
        if s != t:
            total += 1
            shape += int(d == s)
            texture += int(d == t)
    result = shape_bias(decisions, shapes, textures)
    assert result.shape_bias is not None
    assert result.shape_bias.value == shape / (shape + texture)
    assert result.shape_bias.n == shape + texture
    assert result.shape_bias.low < result.shape_bias.value < result.shape_bias.high
    assert (result.shape_share.value, result.shape_share.n) == (shape / total, total)
    assert result.texture_share.value == texture / total
    assert result.num_without_conflict == 300 - total


def test_shape_bias_of_a_model_that_names_neither() -> None:
    zeros = np.zeros(5, dtype=np.int64)
    result = shape_bias(zeros + 2, zeros, zeros + 1)
    assert result.shape_bias is None
    assert result.shape_share.value == 0.0
    with pytest.raises(EvaluationError, match="different shape and texture"):
        shape_bias(zeros, zeros, zeros)


def test_names_of_cue_conflict_pictures() -> None:
    shape, texture = cue_conflict_categories("cue-conflict/cat/cat7-elephant3.png")
    assert (CATEGORIES[shape], CATEGORIES[texture]) == ("cat", "elephant")
    assert cue_conflict_categories("cat/cat7-elephant3.jpg") == (shape, texture)
    assert cue_conflict_categories("cat7-elephant3") == (shape, texture)


@pytest.mark.parametrize("name", ["cat7.jpg", "000012", "cat1-unicorn2.webp", "cat1-dog1-x", ""])
def test_a_name_that_tells_no_cues_is_shown_as_it_is(name: str) -> None:
    with pytest.raises(EvaluationError, match="airplane1-bird2") as error:
        cue_conflict_categories(name)
    assert str(error.value).startswith(f"{name or 'a picture without a name'} does not")
    assert ".png" not in str(error.value)


def _certain(value: float) -> Score:
    return Score(value, value, value, 10_000)


@pytest.mark.parametrize(
    ("accuracy", "shifted", "points"),
    [(0.7554, 0.6983, 6.5), (0.7525, 0.6780, 4.8), (0.6332, 0.5592, 5.5)],
)
def test_effective_robustness_of_published_models(
    accuracy: float, shifted: float, points: float
) -> None:
    """ImageNet and V2 accuracies of open_clip's results table: ViT-L-14 openai and
    laion2b_s32b_b82k, ViT-B-32 openai."""
    fit = BASELINE_FITS["imagenetv2-matched-frequency"]
    rho = effective_robustness(fit, accuracy=_certain(accuracy), shifted=_certain(shifted))
    assert 100 * rho.value == pytest.approx(points, abs=0.05)
    assert rho.low == pytest.approx(rho.value) == pytest.approx(rho.high)


@pytest.mark.parametrize("name", sorted(BASELINE_FITS))
def test_the_line_is_straight_in_logits(name: str) -> None:
    fit = BASELINE_FITS[name]
    for accuracy in (0.55, 0.7, 0.9):
        y = expected_accuracy(fit, accuracy)
        logit = math.log(accuracy / (1 - accuracy))
        assert math.log(y / (1 - y)) == pytest.approx(fit.intercept + fit.slope * logit)
        assert y < accuracy
    assert fit.is_trusted == (name != "imagenet-a")


def test_interval_of_effective_robustness_matches_simulation() -> None:
    fit = BASELINE_FITS["objectnet"]
    rng = np.random.default_rng(0)
    n, m = 2000, 1500
    x, y = rng.binomial(n, 0.8, 20_000) / n, rng.binomial(m, 0.45, 20_000) / m
    rho = y - np.array([expected_accuracy(fit, value) for value in x])

    def score(share: float, trials: int) -> Score:
        half = 1.96 * math.sqrt(share * (1 - share) / trials)
        return Score(share, share - half, share + half, trials)

    ours = effective_robustness(fit, accuracy=score(0.8, n), shifted=score(0.45, m))
    low, high = np.quantile(rho, [0.025, 0.975])
    assert (ours.low, ours.high) == (pytest.approx(low, abs=0.002), pytest.approx(high, abs=0.002))


def test_limits_of_effective_robustness() -> None:
    fit = BASELINE_FITS["imagenet-r"]
    for accuracy in (0.0, 1.0):
        with pytest.raises(EvaluationError, match="no place on the line"):
            effective_robustness(fit, accuracy=_certain(accuracy), shifted=_certain(0.5))
    assert relative_robustness(treated=0.6, untreated=0.45) == pytest.approx(0.15)
