"""KL-robust InfoNCE in float64 loops: the gradient of -rho log mean_i exp(-l_i / rho).

The form of the weights, w_i = exp(-l_i / rho) / mean, follows from min_w sum w_i l_i + rho KL.
Tolerance 5e-6 (1 + 1 / rho): fp32 losses of some nats, whose rounding is divided by rho.
"""

import pytest
import torch

from tests.support.embeddings import Pairs, assert_equal_to, random_pairs
from tests.support.pair_losses import (
    actual_results,
    different,
    doubles,
    expected_results,
    info_nce,
    learned_scale,
    log_sum_exp,
)
from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.clip import ClipConfig
from vlsuite.objectives.kl_robust import KlRobust, KlRobustConfig, softmin_weights


def loops(objective: KlRobust, pairs: Pairs, radius: float) -> list[torch.Tensor]:
    """Weighted mean, and the gradient of the soft minimum."""
    double = doubles(pairs)
    log_scale, scale = learned_scale(objective)
    batch = len(pairs.images)
    losses = [info_nce(double.directions, i, scale) for i in range(batch)]
    soft_minimum = log_sum_exp([-loss / radius for loss in losses])
    soft_minimum = -radius * (soft_minimum - torch.log(torch.tensor(float(batch))))
    gradients = expected_results(soft_minimum.sum(), [*double.pairs, log_scale])[1:]
    powers = [(-loss / radius).exp().item() for loss in losses]
    value = sum(w * loss.item() for w, loss in zip(powers, losses, strict=True)) / sum(powers)
    return [torch.tensor(value, dtype=torch.float64), *gradients]


@pytest.mark.parametrize("batch", [1, 2, 7, 12])
@pytest.mark.parametrize("radius", [0.3, 1.0, 20.0])
def test_equals_float64_loops(batch, radius):
    pairs = random_pairs(batch, 5, seed=batch)
    objective = KlRobustConfig(radius=radius).build()
    expected = loops(objective, pairs, radius)
    actual = actual_results(objective, pairs, different(batch))
    assert_equal_to(actual, expected, tolerance=5e-6 * (1 + 1 / radius))


@pytest.mark.parametrize(("scale", "tolerance"), [(1.0, 2e-6), (100.0, 3e-4)])
def test_extreme_temperatures(scale, tolerance):
    pairs = random_pairs(9, 3, seed=1, noise=0.3)
    objective = KlRobustConfig(init_logit_scale=scale).build()
    expected = loops(objective, pairs, 1.0)
    assert_equal_to(actual_results(objective, pairs, different(9)), expected, tolerance=tolerance)


def test_comparison_notices_a_flipped_sign():
    pairs = random_pairs(7, 5, seed=0)
    objective = KlRobustConfig(radius=1.0).build()
    actual = actual_results(objective, pairs, different(7))
    wrong = loops(objective, pairs, -1.0)
    for part in range(4):
        with pytest.raises(AssertionError, match="bound"):
            assert_equal_to([actual[part]], [wrong[part]], tolerance=1e-3)


def test_high_losses_weigh_less_and_weights_average_one():
    losses = torch.tensor([0.1, 3.0, 1.0, 7.0])
    weights = softmin_weights(losses, radius=1.0)
    assert weights.argsort().tolist() == losses.argsort(descending=True).tolist()
    assert weights.mean().item() == pytest.approx(1.0, abs=1e-6)
    assert (weights[2] / weights[0]).item() == pytest.approx(2.718281828**-0.9, rel=1e-5)


def test_weights_do_not_overflow():
    weights = softmin_weights(torch.tensor([400.0, 500.0, 400.0]), radius=0.05)
    torch.testing.assert_close(weights, torch.tensor([1.5, 0.0, 1.5]), atol=2e-3, rtol=0)


def test_a_wide_radius_is_the_clip_objective():
    pairs = random_pairs(10, 5, seed=2)
    plain = actual_results(ClipConfig().build(), pairs, different(10))
    robust = actual_results(KlRobustConfig(radius=1e6).build(), pairs, different(10))
    assert_equal_to(robust, plain, tolerance=1e-5)


def test_settings():
    assert isinstance(registry.get("kl_robust")().build(), KlRobust)
    for wrong in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match="radius"):
            KlRobustConfig(radius=wrong)
