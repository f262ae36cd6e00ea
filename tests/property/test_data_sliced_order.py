"""The order over many shards: a permutation, mixed as by a full shuffle, the same everywhere."""

import hashlib
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_pipelines.shards.order import LazyOrder
from data_pipelines.shards.sliced_order import SlicedOrder, Window, choose_window
from data_pipelines.shards.spread import distinct_shards, expected_shards

LENGTHS = st.lists(st.integers(0, 40), min_size=1, max_size=60)
WINDOWS = st.builds(Window, st.integers(1, 70), st.integers(1, 300))
SEEDS = st.integers(-(2**70), 2**70)


def _epoch(order: SlicedOrder, epoch: int) -> list[int]:
    return [order(epoch, place) for place in range(len(order))]


@given(lengths=LENGTHS, window=WINDOWS, seed=SEEDS, epoch=st.integers(0, 9))
def test_every_sample_once_an_epoch(lengths, window, seed, epoch):
    order = SlicedOrder(lengths, seed=seed, window=window)
    assert sorted(_epoch(order, epoch)) == list(range(sum(lengths)))


@given(lengths=LENGTHS, window=WINDOWS, seed=SEEDS)
def test_any_place_is_found_by_itself(lengths, window, seed):
    order = SlicedOrder(lengths, seed=seed, window=window, windows_kept=2)
    expected = _epoch(order, 1)
    copy = pickle.loads(pickle.dumps(order))  # noqa: S301 (our own bytes)
    assert [copy(1, place) for place in reversed(range(len(copy)))] == expected[::-1]


def test_a_window_has_equal_shares_of_all_shards_that_are_mixed():
    order = SlicedOrder([100] * 20, seed=3, window=Window(10, 200))
    shards = np.array(_epoch(order, 0)) // 100
    for start in range(0, 2000, 200):
        found, counts = np.unique(shards[start : start + 200], return_counts=True)
        assert len(found) == 10
        assert set(counts.tolist()) == {20}


def test_what_is_mixed_now_and_next_is_told():
    order = SlicedOrder([100] * 25, seed=3, window=Window(10, 200))
    now, after = order.windows_from(0, 0, count=2)
    assert (len(now), len(after)) == (12, 13)
    assert {order(0, place) // 100 for place in range(1200)} == set(now)
    assert {order(0, place) // 100 for place in range(1200, 2500)} == set(after)
    again, following = order.windows_from(0, 2499, count=2)
    assert again == after
    assert {order(1, place) // 100 for place in range(1200)} == set(following)


def test_all_is_one_window_where_it_fits():
    """A full shuffle: the mean distance of neighbours in the order is a third of the set."""
    order = SlicedOrder([50] * 40, seed=1, window=choose_window(40))
    ids = np.array(_epoch(order, 0))
    assert np.abs(np.diff(ids)).mean() == pytest.approx(2000 / 3, rel=0.05)


def test_every_place_is_equally_likely():
    """Chi-square of sample 0's place over 400 seeds, 20 places: 43.8 is the 0.999 quantile."""
    places = [
        _epoch(SlicedOrder([4] * 5, seed=seed, window=Window(5, 8)), 0).index(0)
        for seed in range(400)
    ]
    counts = np.bincount(places, minlength=20)
    assert ((counts - 20) ** 2 / 20).sum() < 43.8


def test_neighbours_do_not_share_a_window_in_every_epoch():
    """Slices of 5 begin elsewhere in each epoch: neighbours are cut apart in a fifth of them."""
    order = SlicedOrder([50] * 4, seed=0, window=Window(4, 20))
    is_last = np.arange(199) % 50 == 49
    apart = []
    for epoch in range(60):
        windows = np.empty(200, dtype=int)
        windows[_epoch(order, epoch)] = np.arange(200) // 20
        apart.append((windows[:-1] != windows[1:])[~is_last])
    share = np.mean(apart, axis=0)
    assert share.min() > 0
    assert share.mean() == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("num_shards", [20, 100, 1000])
def test_a_batch_has_samples_of_as_many_shards_as_in_a_full_shuffle(num_shards):
    """That of runs that began before windows were a setting has ten."""
    lengths, batch = [2000] * num_shards, 1024
    full = expected_shards(lengths, batch)
    new = SlicedOrder(lengths, seed=0, window=choose_window(num_shards))
    old = LazyOrder(lengths, seed=0)
    by_rule = [
        distinct_shards(
            lambda place, order=order: order(0, place) // 2000,
            num_samples=len(order),
            batch_size=batch,
        )
        for order in (new, old)
    ]
    assert by_rule[0] == pytest.approx(full, rel=0.02)
    assert 10 <= by_rule[1] < 20  # where a batch runs across two windows


def test_the_window_grows_with_the_number_of_shards():
    assert choose_window(3) == Window(3, 100_000)
    assert choose_window(1000) == Window(1000, 100_000)
    assert choose_window(100_000) == Window(6250, 100_000)
    assert choose_window(100_000, shards=50, samples=10) == Window(50, 10)
    assert choose_window(1000, at_most=40) == Window(40, 100_000)
    assert choose_window(1000, at_most=2) == Window(10, 100_000)


def test_order_does_not_change_between_versions():
    """Runs resume across versions: this digest is of the order as first released (0.2.0)."""
    order = SlicedOrder([7, 100, 0, 33] * 8, seed=5, window=Window(10, 64))
    told = np.array([*_epoch(order, 0), *_epoch(order, 2)], dtype="<i8").tobytes()
    assert (
        hashlib.sha256(told).hexdigest()
        == "cb6e84361f44dc65a666e53fc7ea3f41079c45bc27ab7421c53a15260f496362"
    )


def test_what_makes_no_sense_is_refused():
    for lengths, window in (([1, -1], Window(1, 1)), ([1], Window(0, 1)), ([1], Window(1, 0))):
        with pytest.raises(ValueError, match="positive"):
            SlicedOrder(lengths, seed=0, window=window)
