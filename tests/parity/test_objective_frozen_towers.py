"""Losses over tiles of the logits where not all of their gradients are wanted."""

import pytest
import torch

from tests.support.embeddings import Pairs, assert_equal_to, random_pairs, value_and_gradients
from vlsuite.objectives.clip import ClipConfig
from vlsuite.objectives.siglip import SiglipConfig

TILED = {"clip": ClipConfig(tile_size=4), "siglip": SiglipConfig(tile_size=4)}


@pytest.mark.parametrize("name", TILED)
@pytest.mark.parametrize("frozen", [0, 1])
def test_a_frozen_tower_leaves_the_other_gradients_unchanged(name, frozen):
    pairs = random_pairs(11, 4, seed=6)
    objective = TILED[name].build()
    expected = value_and_gradients(objective, pairs)
    half = Pairs(*(v.detach() if k == frozen else v for k, v in enumerate(pairs)))
    wanted = [half[1 - frozen], *objective.parameters()]
    actual = torch.autograd.grad(objective(*half).total, wanted)
    assert_equal_to(list(actual), [expected[2 - frozen], *expected[3:]], tolerance=1e-6)


@pytest.mark.parametrize("name", TILED)
def test_loss_without_gradients_is_the_same_loss(name):
    pairs = random_pairs(11, 4, seed=7)
    objective = TILED[name].build()
    expected = objective(*pairs).total.detach()
    with torch.no_grad():
        losses = objective(*pairs)
    assert not losses.total.requires_grad
    assert torch.equal(losses.total, expected)
    assert torch.equal(losses.terms[name], expected)
