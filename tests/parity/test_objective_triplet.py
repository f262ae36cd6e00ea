"""VSE++'s hardest-negative triplet loss: Faghri et al. 2018, arXiv 1707.05612, equation 6.

Tolerance 1e-6: a difference of two cosines, each a sum of five fp32 products.
"""

import pytest
import torch

from tests.support.embeddings import Pairs, assert_equal_to, random_pairs
from tests.support.pair_losses import (
    actual_results,
    different,
    doubles,
    expected_results,
    keys_of,
)
from vlsuite.errors import ConfigError
from vlsuite.objectives import registry
from vlsuite.objectives.triplet import TripletConfig

IDENTITIES = {1: [0], 2: [0, 1], 3: [0, 0, 1], 8: [0, 1, 2, 0, 4, 5, 5, 5], 13: list(range(13))}


def loops(pairs: Pairs, identities, margin: float, *, sign: float = 1.0) -> list[torch.Tensor]:
    double = doubles(pairs)
    batch = len(identities)
    total = torch.tensor(0.0, dtype=torch.float64)
    for rows in double.directions:
        for i, row in enumerate(rows):
            negatives = [row[j] for j in range(batch) if identities[j] != identities[i]]
            if negatives:
                hardest = max(negatives, key=lambda value: value.item())
                loss = margin - sign * row[i] + hardest
                total = total + loss if loss.item() > 0 else total
    return expected_results(total / batch, list(double.pairs))


@pytest.mark.parametrize("batch", IDENTITIES)
@pytest.mark.parametrize("margin", [0.0, 0.2, 1.0])
def test_equals_published_equation_in_float64_loops(batch, margin):
    pairs = random_pairs(batch, 5, seed=batch)
    expected = loops(pairs, IDENTITIES[batch], margin)
    objective = TripletConfig(margin=margin).build()
    actual = actual_results(objective, pairs, keys_of(IDENTITIES[batch]))
    assert_equal_to(actual, expected, tolerance=1e-6)


def test_comparison_notices_a_flipped_sign_and_a_forgotten_identity():
    pairs = random_pairs(8, 5, seed=8)
    actual = actual_results(TripletConfig().build(), pairs, keys_of(IDENTITIES[8]))
    for wrong in (loops(pairs, IDENTITIES[8], 0.2, sign=-1.0), loops(pairs, range(8), 0.2)):
        for part in range(3):
            with pytest.raises(AssertionError, match="bound"):
                assert_equal_to([actual[part]], [wrong[part]], tolerance=1e-6)


@pytest.mark.parametrize("identities", [[0], [3, 3, 3, 3]])
def test_a_batch_of_one_identity_has_no_loss_and_no_gradient(identities):
    pairs = random_pairs(len(identities), 5, seed=1)
    for value in actual_results(TripletConfig().build(), pairs, keys_of(identities)):
        assert torch.equal(value, torch.zeros_like(value))


def test_without_keys_all_pairs_differ():
    pairs = random_pairs(7, 5, seed=2)
    objective = TripletConfig().build()
    assert torch.equal(objective(*pairs).total, objective(*pairs, different(7)).total)


def test_scale_is_fixed_and_only_written_down():
    objective = registry.get("triplet")(logit_scale=40.0).build()
    objective.set_logit_scale(99.0)
    objective.clamp_()
    assert objective.logit_scale == pytest.approx(40.0)
    assert not any(p.requires_grad for p in objective.parameters())


def test_settings_that_cannot_work_are_refused():
    for settings in ({"margin": -0.1}, {"margin": 3.0}, {"logit_scale": 0.5}):
        with pytest.raises(ConfigError, match="objective"):
            TripletConfig(**settings)
