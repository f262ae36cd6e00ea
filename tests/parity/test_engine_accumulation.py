"""Accumulation changes neither the loss nor any gradient, dropout included.

Gao et al. 2021, arXiv 2101.06983: caching embeddings makes accumulation exact for a contrastive
loss. Tolerance: fp32 sums in another order over 16 samples and a few layers.
"""

import pytest
import torch

from tests.support.runs import make_shards, run_to_end, small_config
from vlsuite.engine.master_state import iterate_master_state

TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("accumulation"))


def _weights(state):
    return {n: s.weight for n, s in iterate_master_state(state.engine, moments=False)}


@pytest.mark.parametrize("objective", ["clip", "siglip"])
def test_four_micro_batches_equal_one_batch(shards, tmp_path, objective):
    whole, whole_losses = run_to_end(
        small_config(shards, f"objective={objective}"), tmp_path / "whole"
    )
    parts, part_losses = run_to_end(
        small_config(shards, f"objective={objective}", "micro_batch_size=4"), tmp_path / "parts"
    )
    assert part_losses == pytest.approx(whole_losses, abs=TOLERANCE)
    assert parts.objective.logit_scale == pytest.approx(whole.objective.logit_scale, rel=1e-6)
    ours, reference = _weights(parts), _weights(whole)
    for name, weight in reference.items():
        assert torch.allclose(ours[name], weight, atol=2e-4), name


def test_dropped_patches_are_the_same_in_both_passes(shards, tmp_path):
    """Each micro-batch is embedded twice; with other patches the loss would not be its own."""
    config = small_config(
        shards, "model.patch_dropout=0.5", "micro_batch_size=8", "duration=12steps"
    )
    _, losses = run_to_end(config, tmp_path / "dropped")
    assert losses[-1] < losses[0]
    again, repeated = run_to_end(config, tmp_path / "again")
    assert repeated == losses
    assert again.samples_seen == 12 * 16
