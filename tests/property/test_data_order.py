"""The order of an epoch: a permutation, local in files, the same on every machine."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.shards.order import WINDOW_SHARDS, epoch_order, shard_windows

LENGTHS = st.lists(st.integers(0, 40), max_size=60)


@given(lengths=LENGTHS, seed=st.integers(-(2**70), 2**70), epoch=st.integers(0, 9))
def test_order_is_a_permutation(lengths, seed, epoch):
    order = epoch_order(lengths, seed=seed, epoch=epoch, block=30)
    assert sorted(order.tolist()) == list(range(sum(lengths)))


@given(lengths=LENGTHS, block=st.integers(1, 200))
def test_windows_hold_enough_shards_and_samples(lengths, block):
    windows = shard_windows(lengths, seed=1, epoch=0, block=block)
    assert sorted(shard for window in windows for shard in window) == list(range(len(lengths)))
    if len(windows) > 1:
        assert all(len(window) >= WINDOW_SHARDS for window in windows)
        assert all(sum(lengths[shard] for shard in window) >= block for window in windows)


def test_neighbours_come_from_one_window_of_files():
    lengths = [50] * 40
    order = epoch_order(lengths, seed=3, epoch=0, block=100)
    shards = order // 50
    for start in range(0, 2000, 500):
        assert len(set(shards[start : start + 500].tolist())) == WINDOW_SHARDS
        assert len(set(shards[start : start + 40].tolist())) > WINDOW_SHARDS / 2


def test_epochs_and_seeds_give_other_orders():
    first = epoch_order([100, 100], seed=0, epoch=0)
    assert (first != epoch_order([100, 100], seed=0, epoch=1)).any()
    assert (first != epoch_order([100, 100], seed=1, epoch=0)).any()
    assert (first == epoch_order([100, 100], seed=0, epoch=0)).all()


def test_every_place_is_equally_likely():
    """Chi-square of sample 0's place over 800 seeds, 20 places: 43.8 is the 0.999 quantile."""
    places = [
        int(np.flatnonzero(epoch_order([20], seed=seed, epoch=0) == 0)[0]) for seed in range(800)
    ]
    counts = np.bincount(places, minlength=20)
    assert ((counts - 40) ** 2 / 40).sum() < 43.8


def test_order_does_not_change_between_versions():
    """Runs resume across versions: this digest is of the order as first released (0.1.0)."""
    order = epoch_order([7, 100, 0, 33] * 8, seed=5, epoch=2, block=64)
    digest = hashlib.sha256(order.astype("<i8").tobytes()).hexdigest()
    assert digest == "4f9cd885f8402dc032b1a09506e49ef27e47f0a382b3289d1d27de60e1c29f9b"


def test_negative_lengths_are_refused():
    with pytest.raises(ValueError, match="negative"):
        epoch_order([1, -1], seed=0, epoch=0)
