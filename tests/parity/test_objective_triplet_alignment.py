"""RDE's triplet alignment loss (Qin et al. 2024, CVPR, equation 5) in float64 loops.

A row gives [m - sum_{j in P} a_j S_j + tau log sum_{j in N} exp(S_j / tau)]+, a the softmax of
S / tau over the positives P and a constant. Tolerances: values, one fp32 rounding of cosines,
2e-6; gradients, weights exp(S / tau), whose relative error is that of S / tau: 1e-7 / tau.
"""

import math

import pytest
import torch
from torch import Tensor

from tests.support.embeddings import assert_equal_to
from tests.support.pair_losses import expected_results, log_sum_exp, random_scores
from vlsuite.objectives.triplet_alignment import TripletAlignment, triplet_alignment_losses

TAUS = [0.002, 0.005, 0.01, 0.015, 0.05, 0.1]
IDENTITIES = {1: [0], 2: [0, 1], 5: [0, 0, 1, 2, 1], 9: [0, 1, 1, 1, 4, 5, 5, 0, 8]}


def row_loss(row: list[Tensor], is_positive: list[bool], margin: float, tau: float) -> Tensor:
    positives = [c for c, p in zip(row, is_positive, strict=True) if p]
    negatives = [c for c, p in zip(row, is_positive, strict=True) if not p]
    if not negatives:
        return torch.zeros((), dtype=torch.float64)
    normaliser = log_sum_exp([c / tau for c in positives])
    alphas = [(c / tau - normaliser).exp().detach() for c in positives]
    positive = sum((a * c for a, c in zip(alphas, positives, strict=True)), torch.tensor(0.0))
    loss = margin - positive + tau * log_sum_exp([c / tau for c in negatives])
    return loss if loss.item() > 0 else loss * 0


def loops(cosines: Tensor, identities, margin: float, tau: float) -> list[Tensor]:
    """One loss a pair, stacked, and the gradient of their mean."""
    leaf = cosines.detach().double().requires_grad_()
    batch = len(leaf)
    losses = []
    for i in range(batch):
        mask = [identities[j] == identities[i] for j in range(batch)]
        by_image = row_loss([leaf[i, j] for j in range(batch)], mask, margin, tau)
        losses.append(by_image + row_loss([leaf[j, i] for j in range(batch)], mask, margin, tau))
    stacked = torch.stack(losses)
    return [stacked.detach(), expected_results(stacked.mean(), [leaf])[1]]


def ours(leaf: Tensor, scores, constants: TripletAlignment) -> list[Tensor]:
    losses = triplet_alignment_losses(scores, constants)
    return [losses.detach(), torch.autograd.grad(losses.mean(), leaf)[0]]


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("batch", IDENTITIES)
def test_equals_published_equation_in_float64_loops(tau, batch):
    leaf, scores = random_scores(batch, seed=batch, identities=IDENTITIES[batch])
    expected = loops(leaf, IDENTITIES[batch], 0.1, tau)
    actual = ours(leaf, scores, TripletAlignment(0.1, tau))
    assert_equal_to(actual[:1], expected[:1], tolerance=2e-6)
    assert_equal_to(actual[1:], expected[1:], tolerance=2e-7 / tau)


def test_comparison_notices_other_constants_and_a_forgotten_identity():
    leaf, scores = random_scores(9, seed=9, identities=IDENTITIES[9])
    actual = ours(leaf, scores, TripletAlignment(0.1, 0.05))
    wrongs = [
        loops(leaf, range(9), 0.1, 0.05),
        loops(leaf, IDENTITIES[9], 0.1, 0.1),
        loops(-leaf, IDENTITIES[9], 0.1, 0.05),
    ]
    for wrong in wrongs:
        for part in range(2):
            with pytest.raises(AssertionError, match="bound"):
                assert_equal_to([actual[part]], [wrong[part]], tolerance=1e-5)
    other_margin = loops(leaf, IDENTITIES[9], -0.1, 0.05)
    with pytest.raises(AssertionError, match="bound"):
        assert_equal_to(actual[:1], other_margin[:1], tolerance=1e-5)


def published(cosines: Tensor, is_positive: Tensor, margin: float, tau: float) -> Tensor:
    """The equation as it is written, in the type given: overflows where exp(S / tau) does."""
    total = torch.zeros(len(cosines), dtype=cosines.dtype)
    for rows in (cosines, cosines.T):
        powers = (rows / tau).exp()
        alpha = (powers * is_positive / (powers * is_positive).sum(1, keepdim=True)).detach()
        negative = tau * (powers * ~is_positive).sum(1).log()
        total = total + (margin - (alpha * rows).sum(1) + negative).clamp(min=0)
    return total


@pytest.mark.parametrize("tau", TAUS)
def test_equals_the_published_form_where_that_is_finite(tau):
    leaf, scores = random_scores(40, seed=5)
    with torch.no_grad():
        leaf *= 80 * min(tau, 0.0125)  # every cosine / tau below 88, where fp32 overflows
    expected = published(leaf.detach(), scores.is_positive, 0.1, tau)
    assert torch.isfinite(expected).all()
    actual = triplet_alignment_losses(scores, TripletAlignment(0.1, tau))
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


def test_the_published_form_overflows_where_this_one_does_not():
    """exp(S / 0.01) is infinite in fp32 above S = 0.887."""
    cosines = torch.full((4, 4), 0.1) + 0.8 * torch.eye(4)
    leaf = cosines.requires_grad_()
    scores = random_scores(4, seed=0)[1]._replace(images=leaf, texts=leaf.T)
    assert published(leaf.detach(), scores.is_positive, 0.1, 0.01).isnan().all()
    expected = loops(leaf, range(4), 0.1, 0.01)
    assert_equal_to(ours(leaf, scores, TripletAlignment(0.1, 0.01)), expected, tolerance=2e-5)


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("batch", [1, 2, 64, 512])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kinds", ["different", "one identity"])
def test_finite_loss_and_gradients_over_the_whole_range(tau, batch, dtype, kinds):
    identities = range(batch) if kinds == "different" else [0] * batch
    leaf, scores = random_scores(batch, seed=1, identities=identities, dtype=dtype)
    with torch.no_grad():
        leaf.copy_((3 * leaf).clamp(-1, 1))  # cosines of 1 and -1 among them
    scores = scores._replace(images=leaf, texts=leaf.T)
    losses, gradient = ours(leaf, scores, TripletAlignment(0.1, tau))
    assert torch.isfinite(losses).all()
    assert torch.isfinite(gradient).all()
    assert (losses >= 0).all()
    assert losses.dtype == torch.float32
    if kinds == "one identity" or batch == 1:
        assert not losses.any()
        assert not gradient.any()


def test_bf16_cosines_are_computed_as_fp32():
    leaf, scores = random_scores(12, seed=3, dtype=torch.bfloat16)
    wide = scores._replace(images=leaf.float(), texts=leaf.float().T)
    constants = TripletAlignment(0.1, 0.01)
    expected = triplet_alignment_losses(wide, constants)
    assert torch.equal(triplet_alignment_losses(scores, constants), expected)


def test_bounds_the_hardest_negative_loss_and_tends_to_it():
    leaf, scores = random_scores(20, seed=6)
    own = leaf.detach().diagonal()
    others = leaf.detach().masked_fill(torch.eye(20, dtype=torch.bool), -math.inf)
    sides = [(0.1 - own + others.amax(dim=d)).clamp(min=0) for d in (0, 1)]
    hardest = sides[0] + sides[1]
    for tau in TAUS:
        losses = triplet_alignment_losses(scores, TripletAlignment(0.1, tau))
        assert (losses >= hardest - 1e-6).all()
        assert (losses <= hardest + 2 * tau * math.log(19) + 1e-6).all()


def test_correction_keeps_the_loss_of_equal_negatives_at_every_batch_size():
    found = []
    for batch in (64, 512):
        cosines = 0.2 * torch.ones(batch, batch) + 0.05 * torch.eye(batch)
        scores = random_scores(batch, seed=0)[1]._replace(images=cosines, texts=cosines.T)
        found.append(triplet_alignment_losses(scores, TripletAlignment(0.1, 0.015, 64)).mean())
    assert found[0].item() == pytest.approx(2 * (0.1 - 0.05 + 0.015 * math.log(63)), abs=1e-6)
    assert found[1].item() == pytest.approx(found[0].item(), abs=1e-6)
