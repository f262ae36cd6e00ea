"""CLIP's softmax loss: Radford et al. 2021, arXiv 2103.00020, Figure 3, and open_clip.ClipLoss.

Tolerances: a few fp32 roundings (6e-8 each) of logits of size s, hence 1e-6 at s <= 15 and
5e-5 at s = 100, relative to the largest entry of each gradient.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.loss import ClipLoss

from tests.support.embeddings import (
    Pairs,
    assert_equal_to,
    random_pairs,
    softmax_loops,
    value_and_gradients,
)
from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.clip import ClipConfig
from vlsuite.objectives.objective import check_pairs


@pytest.mark.parametrize(("batch", "tile_size"), [(1, None), (2, 1), (7, 3), (12, 4), (13, 50)])
def test_equals_published_equation_in_float64_loops(batch, tile_size):
    pairs = random_pairs(batch, 5, seed=batch)
    objective = ClipConfig(tile_size=tile_size).build()
    expected = softmax_loops(pairs, objective.log_logit_scale.item())
    assert_equal_to(value_and_gradients(objective, pairs), expected, tolerance=1e-6)


def test_comparison_notices_a_flipped_sign():
    pairs = random_pairs(6, 5, seed=0)
    objective = ClipConfig(tile_size=4).build()
    wrong = softmax_loops(pairs, objective.log_logit_scale.item(), positive_sign=-1.0)
    actual = value_and_gradients(objective, pairs)
    for part in range(4):
        with pytest.raises(AssertionError, match="bound"):
            assert_equal_to([actual[part]], [wrong[part]], tolerance=1e-6)


@pytest.mark.parametrize(("scale", "tolerance"), [(1.0, 1e-6), (1 / 0.07, 1e-6), (100.0, 5e-5)])
def test_equals_open_clip(scale, tolerance):
    pairs = random_pairs(67, 24, seed=1)
    objective = ClipConfig(init_logit_scale=scale, tile_size=16).build()
    doubles = [value.detach().double().requires_grad_() for value in pairs]
    log_scale = objective.log_logit_scale.detach().double().requires_grad_()
    loss = ClipLoss()(*doubles, log_scale.exp())
    expected = [loss.detach(), *torch.autograd.grad(loss, [*doubles, log_scale])]
    assert_equal_to(value_and_gradients(objective, pairs), expected, tolerance=tolerance)


@pytest.mark.parametrize("noise", [0.0, 0.1, 50.0])
def test_scale_of_100_does_not_overflow(noise):
    pairs = random_pairs(40, 3, seed=2, noise=noise)
    objective = ClipConfig(init_logit_scale=100.0, tile_size=16).build()
    expected = softmax_loops(pairs, objective.log_logit_scale.item())
    assert_equal_to(value_and_gradients(objective, pairs), expected, tolerance=5e-5)


def test_identical_embeddings_cannot_be_told_apart():
    row = random_pairs(1, 8, seed=3).images.detach()
    pairs = Pairs(row.repeat(33, 1).requires_grad_(), row.repeat(33, 1).requires_grad_())
    objective = ClipConfig(init_logit_scale=100.0, tile_size=8).build()
    loss, *gradients = value_and_gradients(objective, pairs)
    assert loss.item() == pytest.approx(math.log(33), abs=1e-5)
    assert all(gradient.abs().max() < 1e-5 for gradient in gradients)


def test_opposite_embeddings_keep_a_finite_loss():
    images = random_pairs(9, 4, seed=4).images.detach()
    pairs = Pairs(images.clone().requires_grad_(), (-images).requires_grad_())
    objective = ClipConfig(init_logit_scale=100.0, tile_size=4).build()
    expected = softmax_loops(pairs, objective.log_logit_scale.item())
    assert_equal_to(value_and_gradients(objective, pairs), expected, tolerance=5e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 20), st.integers(1, 8), st.integers(0, 10**6))
def test_order_of_the_batch_does_not_matter(batch, tile_size, seed):
    pairs = random_pairs(batch, 4, seed=seed)
    order = torch.randperm(batch, generator=torch.Generator().manual_seed(seed))
    shuffled = Pairs(*(value.detach()[order].requires_grad_() for value in pairs))
    objective = ClipConfig(tile_size=tile_size).build()
    loss, images, texts, log_scale = value_and_gradients(objective, pairs)
    expected = [loss, images[order], texts[order], log_scale]
    assert_equal_to(value_and_gradients(objective, shuffled), expected, tolerance=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(1, 25), st.integers(0, 10**6))
def test_swapping_images_and_texts_swaps_their_gradients(batch, tile_size, seed):
    pairs = random_pairs(batch, 4, seed=seed)
    objective = ClipConfig(tile_size=tile_size).build()
    loss, images, texts, log_scale = value_and_gradients(objective, pairs)
    swapped = value_and_gradients(objective, Pairs(pairs.texts, pairs.images))
    # the gradient of the scale sums the same terms in another order: ulps of the largest
    assert_equal_to(swapped, [loss, texts, images, log_scale], tolerance=4e-6)


def test_backward_scales_with_the_incoming_gradient():
    pairs = random_pairs(9, 4, seed=5)
    objective = ClipConfig(tile_size=4).build()
    once = value_and_gradients(objective, pairs)[1:]
    tripled = torch.autograd.grad(3 * objective(*pairs).total, [*pairs, *objective.parameters()])
    assert_equal_to(list(tripled), [3 * gradient for gradient in once], tolerance=1e-7)


def test_half_precision_input_is_computed_in_fp32():
    pairs = Pairs(*(v.detach().bfloat16().requires_grad_() for v in random_pairs(20, 8, seed=8)))
    exact = Pairs(*(value.detach().float().requires_grad_() for value in pairs))
    objective = ClipConfig(tile_size=8).build()
    expected = value_and_gradients(objective, exact)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = value_and_gradients(objective, pairs)
    assert actual[0].dtype == torch.float32
    assert actual[1].dtype == torch.bfloat16
    assert torch.equal(actual[0], expected[0])
    assert torch.equal(actual[1], expected[1].bfloat16())
    assert torch.equal(actual[3], expected[3])


def test_scale_is_clamped_and_loaded():
    objective = registry.get("clip")().build()
    assert objective.logit_scale == pytest.approx(1 / 0.07)
    assert objective.logit_bias == 0.0
    objective.set_logit_scale(137.0, logit_bias=-3.0)
    assert objective.logit_scale == pytest.approx(137.0)
    objective.clamp_()
    assert objective.log_logit_scale.item() == pytest.approx(math.log(100))
    objective.set_logit_scale(0.5)
    objective.clamp_()
    assert objective.logit_scale == 1.0
    with pytest.raises(ValueError, match="positive"):
        objective.set_logit_scale(0.0)


@pytest.mark.parametrize(
    "wrong", [{"tile_size": 0}, {"init_logit_scale": 0.5}, {"init_logit_scale": 200.0}]
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(ConfigError, match="objective"):
        ClipConfig(**wrong)


def test_embeddings_that_do_not_pair_up_are_refused():
    rows = torch.zeros(3, 4)
    for texts in (torch.zeros(2, 4), torch.zeros(3, 5), torch.zeros(3)):
        with pytest.raises(ValueError, match=r"embeddings|pair up"):
            check_pairs(rows, texts)
    with pytest.raises(ValueError, match="one pair"):
        check_pairs(rows[:0], rows[:0])
    with pytest.raises(ValueError, match="dtypes"):
        check_pairs(rows, rows.bfloat16())
