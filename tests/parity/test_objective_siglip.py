"""SigLIP's sigmoid loss: Zhai et al. 2023, arXiv 2303.15343, equation 1, and open_clip.SigLipLoss.

Tolerances: a few fp32 roundings (6e-8 each) of logits of size s, hence 1e-6 at s = 10 and 5e-5
at s = 100, relative to the largest entry of each gradient.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.loss import SigLipLoss

from tests.support.embeddings import (
    Pairs,
    assert_equal_to,
    random_pairs,
    sigmoid_loops,
    value_and_gradients,
)
from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.siglip import SiglipConfig, SiglipObjective


def loops(objective: SiglipObjective, pairs: Pairs, *, positive_sign: float = 1.0):
    log_scale, bias = objective.log_logit_scale.item(), objective.logit_bias
    return sigmoid_loops(pairs, log_scale, bias, positive_sign=positive_sign)


@pytest.mark.parametrize(("batch", "tile_size"), [(1, None), (2, 1), (7, 3), (12, 4), (13, 50)])
def test_equals_published_equation_in_float64_loops(batch, tile_size):
    pairs = random_pairs(batch, 5, seed=batch)
    objective = SiglipConfig(tile_size=tile_size).build()
    expected = loops(objective, pairs)
    assert_equal_to(value_and_gradients(objective, pairs), expected, tolerance=1e-6)


def test_comparison_notices_a_flipped_sign():
    pairs = random_pairs(6, 5, seed=0)
    objective = SiglipConfig(tile_size=4).build()
    wrong = loops(objective, pairs, positive_sign=-1.0)
    actual = value_and_gradients(objective, pairs)
    for part in range(5):
        with pytest.raises(AssertionError, match="bound"):
            assert_equal_to([actual[part]], [wrong[part]], tolerance=1e-6)


@pytest.mark.parametrize(
    ("scale", "bias", "tolerance"),
    [(10.0, -10.0, 1e-6), (1.0, 0.0, 1e-6), (10.0, -2.71, 1e-6), (100.0, -15.0, 5e-5)],
)
def test_equals_open_clip(scale, bias, tolerance):
    pairs = random_pairs(67, 24, seed=1)
    config = SiglipConfig(init_logit_scale=scale, init_logit_bias=bias, tile_size=16)
    objective = config.build()
    doubles = [value.detach().double().requires_grad_() for value in pairs]
    scalars = [value.detach().double().requires_grad_() for value in objective.parameters()]
    loss = SigLipLoss()(*doubles, scalars[0].exp(), scalars[1])
    expected = [loss.detach(), *torch.autograd.grad(loss, [*doubles, *scalars])]
    assert_equal_to(value_and_gradients(objective, pairs), expected, tolerance=tolerance)


@pytest.mark.parametrize("bias", [-90.0, 0.0, 90.0])
def test_scale_of_100_does_not_overflow(bias):
    pairs = random_pairs(40, 3, seed=2, noise=0.1)
    config = SiglipConfig(init_logit_scale=100.0, init_logit_bias=bias, tile_size=16)
    objective = config.build()
    expected = loops(objective, pairs)
    assert_equal_to(value_and_gradients(objective, pairs), expected, tolerance=5e-5)


def test_identical_embeddings_cost_every_negative_its_logit():
    row = random_pairs(1, 8, seed=3).images.detach()
    pairs = Pairs(row.repeat(33, 1).requires_grad_(), row.repeat(33, 1).requires_grad_())
    config = SiglipConfig(init_logit_scale=100.0, init_logit_bias=-10.0, tile_size=8)
    loss = value_and_gradients(config.build(), pairs)[0]
    assert loss.item() == pytest.approx(32 * 90.0, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 20), st.integers(1, 8), st.integers(0, 10**6))
def test_order_of_the_batch_does_not_matter(batch, tile_size, seed):
    pairs = random_pairs(batch, 4, seed=seed)
    order = torch.randperm(batch, generator=torch.Generator().manual_seed(seed))
    shuffled = Pairs(*(value.detach()[order].requires_grad_() for value in pairs))
    objective = SiglipConfig(tile_size=tile_size).build()
    loss, images, texts, *scalars = value_and_gradients(objective, pairs)
    expected = [loss, images[order], texts[order], *scalars]
    assert_equal_to(value_and_gradients(objective, shuffled), expected, tolerance=5e-6)


def test_scale_and_bias_start_as_published_and_can_be_loaded():
    objective = registry.get("siglip")().build()
    assert objective.logit_scale == pytest.approx(10.0)
    assert objective.logit_bias == -10.0
    objective.set_logit_scale(117.0)
    assert objective.logit_bias == -10.0
    objective.set_logit_scale(117.0, logit_bias=-12.5)
    objective.clamp_()
    assert objective.logit_scale == pytest.approx(100.0)
    assert objective.logit_bias == -12.5
    with pytest.raises(ValueError, match="finite"):
        objective.set_logit_scale(10.0, logit_bias=float("nan"))


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigError, match="init_logit_bias"):
        SiglipConfig(init_logit_bias=float("nan"))
