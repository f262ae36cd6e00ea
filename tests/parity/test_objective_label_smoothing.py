"""Constant label smoothing against its definition in float64 loops, and against PyTorch's.

y_ii = 1 - omega, y_ij = omega / (B - 1) (BLIP-2's contrastive loss smooths; Szegedy et al. 2016,
arXiv 1512.00567, section 7). Tolerances: short fp32 sums of logits of size s, hence 2e-6 at
s = 14 and 5e-5 at s = 100, relative to the largest entry.
"""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.support.embeddings import Pairs, assert_equal_to, random_pairs
from tests.support.pair_losses import (
    actual_results,
    different,
    doubles,
    expected_results,
    keys_of,
    learned_scale,
    log_sum_exp,
    scores_of,
)
from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.clip import ClipConfig
from vlsuite.objectives.label_smoothing import LabelSmoothing, LabelSmoothingConfig
from vlsuite.objectives.soft_targets import soft_target_losses


def loops(objective: LabelSmoothing, pairs: Pairs, smoothing: float) -> list[torch.Tensor]:
    double = doubles(pairs)
    log_scale, scale = learned_scale(objective)
    batch = len(pairs.images)
    total = torch.tensor(0.0, dtype=torch.float64)
    for rows in double.directions:
        for i, row in enumerate(rows):
            normaliser = log_sum_exp([scale * c for c in row])
            for j, cosine in enumerate(row):
                others = smoothing / (batch - 1) if batch > 1 else 0.0
                target = 1 - smoothing if i == j else others
                total = total - target * (scale * cosine - normaliser)
    return expected_results(total / (2 * batch), [*double.pairs, log_scale])


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_equals_definition_in_float64_loops(batch, smoothing):
    pairs = random_pairs(batch, 5, seed=batch)
    objective = LabelSmoothingConfig(smoothing=smoothing).build()
    expected = loops(objective, pairs, smoothing)
    assert_equal_to(actual_results(objective, pairs, different(batch)), expected, tolerance=2e-6)


@pytest.mark.parametrize(("scale", "tolerance"), [(1.0, 1e-6), (100.0, 5e-5)])
def test_extreme_temperatures(scale, tolerance):
    pairs = random_pairs(9, 3, seed=1, noise=0.2)
    objective = LabelSmoothingConfig(smoothing=0.3, init_logit_scale=scale).build()
    expected = loops(objective, pairs, 0.3)
    actual = actual_results(objective, pairs, different(9))
    assert_equal_to(actual, expected, tolerance=tolerance)


def test_comparison_notices_another_omega():
    pairs = random_pairs(6, 5, seed=0)
    objective = LabelSmoothingConfig(smoothing=0.1).build()
    actual = actual_results(objective, pairs, different(6))
    wrong = loops(objective, pairs, -0.1)
    for part in range(4):
        with pytest.raises(AssertionError, match="bound"):
            assert_equal_to([actual[part]], [wrong[part]], tolerance=2e-6)


def test_without_smoothing_it_is_the_clip_objective():
    pairs = random_pairs(11, 6, seed=2)
    plain = actual_results(ClipConfig().build(), pairs, different(11))
    smoothed = LabelSmoothingConfig(smoothing=0.0).build()
    assert_equal_to(actual_results(smoothed, pairs, different(11)), plain, tolerance=2e-6)


@pytest.mark.parametrize("batch", [2, 8])
def test_equals_pytorch_whose_share_is_spread_over_all_entries(batch):
    pairs = random_pairs(batch, 6, seed=3)
    share = 0.2  # PyTorch leaves 1 - share + share / B with the own entry
    objective = LabelSmoothingConfig(smoothing=share * (batch - 1) / batch).build()
    logits = objective.logit_scale * pairs.images.double() @ pairs.texts.double().T
    labels = torch.arange(batch)
    expected = [F.cross_entropy(x, labels, label_smoothing=share) for x in (logits, logits.T)]
    total = objective(*pairs).total
    assert total.item() == pytest.approx((expected[0] + expected[1]).item() / 2, rel=2e-6)


def test_smallest_loss_has_the_stated_gap():
    """The gradient vanishes where the own logit is log[(1 - w)(B - 1) / w] above the others."""
    batch, omega = 6, 0.25
    gap = math.log((1 - omega) * (batch - 1) / omega)
    logits = (gap * torch.eye(batch, dtype=torch.float64)).requires_grad_()
    scale = torch.ones(1, dtype=torch.float64)
    omegas = torch.full((batch,), omega, dtype=torch.float64)
    losses = soft_target_losses(scores_of(logits), omegas, scale)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert gradient.abs().max().item() < 1e-12


def test_identities_do_not_change_it():
    pairs = random_pairs(6, 5, seed=4)
    objective = LabelSmoothingConfig().build()
    apart = actual_results(objective, pairs, different(6))
    assert_equal_to(actual_results(objective, pairs, keys_of([0] * 6)), apart, tolerance=0.0)


def test_settings():
    assert isinstance(registry.get("label_smoothing")().build(), LabelSmoothing)
    for wrong in (-0.1, 1.0, float("nan")):
        with pytest.raises(ConfigError, match="smoothing"):
            LabelSmoothingConfig(smoothing=wrong)
