"""The sequence: exact epochs and shares, far stand-ins, the same from any starting point."""

import hashlib
import pickle
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipelines.shards.order import LazyOrder, epoch_order
from data_pipelines.shards.sliced_order import Window
from vlsuite.batches.sequence import BLOCK, Mixture, SampleSequence, block_quotas
from vlsuite.errors import ConfigError, DataError


def _one(window):
    return () if window is None else (window,)


LENGTHS = st.lists(st.integers(0, 30), min_size=1, max_size=40).filter(any)
SEEDS = st.integers(-(2**70), 2**70)

#: None for the rule of runs that began before windows were a setting.
WINDOWS = st.one_of(st.none(), st.builds(Window, st.integers(1, 40), st.integers(1, 100)))


@given(lengths=LENGTHS, seed=SEEDS, epoch=st.integers(0, 5), block=st.integers(1, 100))
def test_lazy_order_is_the_order(lengths, seed, epoch, block):
    order = LazyOrder(lengths, seed=seed, block=block, windows_kept=2)
    expected = epoch_order(lengths, seed=seed, epoch=epoch, block=block).tolist()
    assert [order(epoch, place) for place in range(len(order))] == expected
    backwards = [order(epoch, place) for place in reversed(range(len(order)))]
    assert backwards == expected[::-1]


@given(
    sources=st.lists(LENGTHS, min_size=1, max_size=3),
    seed=SEEDS,
    epoch=st.integers(0, 3),
    window=WINDOWS,
)
def test_every_sample_once_an_epoch(sources, seed, epoch, window):
    sequence = SampleSequence(sources, seed=seed, windows=_one(window))
    size = sum(map(sum, sources))
    draws = [sequence(position) for position in range(epoch * size, (epoch + 1) * size)]
    every = [
        (source, row)
        for source, lengths in enumerate(sources)
        for length in lengths
        for row in range(length)
    ]
    assert Counter((draw.source, draw.row) for draw in draws) == Counter(every)
    assert len({(draw.shard, draw.row) for draw in draws}) == size


@given(lengths=LENGTHS, seed=SEEDS, batch=st.integers(1, 20), window=WINDOWS)
def test_dropped_tail_leaves_whole_batches_of_different_samples(lengths, seed, batch, window):
    size = sum(lengths)
    told = {"seed": seed, "windows": _one(window), "global_batch_size": batch, "drop_tail": True}
    if size < batch:
        with pytest.raises(DataError, match="drop_tail"):
            SampleSequence([lengths], **told)
        return
    sequence = SampleSequence([lengths], **told)
    used = size // batch * batch
    for epoch in range(2):
        assert len({sequence(epoch * used + place) for place in range(used)}) == used


@given(lengths=LENGTHS, seed=SEEDS, batch=st.integers(1, 40), window=WINDOWS, data=st.data())
def test_stand_ins_come_from_outside_the_batch(lengths, seed, batch, window, data):
    size = sum(lengths)
    sequence = SampleSequence([lengths], seed=seed, windows=_one(window), global_batch_size=batch)
    epoch = data.draw(st.integers(0, 3)) * size
    place = data.draw(st.integers(0, size - 1))
    tried = [sequence(epoch + place, attempt) for attempt in range(sequence.max_attempts)]
    assert len(set(tried)) == len(tried), "a sample was tried twice"
    if size >= 2 * batch:
        near = range(max(0, place - batch + 1), min(size, place + batch))
        assert not set(tried[1:]) & {sequence(epoch + other) for other in near}
        half = sequence(epoch + (place + size // 2) % size)
        assert tried[1] == half
    elif size > 1:
        assert len(tried) == size


@given(weights=st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=50))
def test_quotas_are_the_shares_to_one_position(weights):
    quotas = block_quotas(weights)
    assert sum(quotas) == BLOCK
    assert min(quotas) >= 1
    total = sum(map(Fraction, weights))
    exact = [Fraction(weight) * BLOCK / total for weight in weights]
    if min(exact) >= 1:
        assert all(abs(quota - share) <= 1 for quota, share in zip(quotas, exact, strict=True))


@settings(max_examples=10, deadline=None)
@given(
    weights=st.lists(st.floats(0.05, 10), min_size=1, max_size=5),
    seed=SEEDS,
    position=st.integers(0, 2**40),
)
def test_counts_before_a_position_are_exact(weights, seed, position):
    mixture = Mixture(weights, seed=seed)
    start = position // BLOCK * BLOCK
    counts = mixture.counts_before(start)
    assert sum(counts) == start
    for here in range(start, start + 3000):
        source, before = mixture.locate(here)
        assert before == counts[source]
        counts[source] += 1
    assert counts == mixture.counts_before(start + 3000)


def test_a_block_holds_each_share_exactly_and_evenly():
    mixture = Mixture([0.5, 0.3, 0.2], seed=3)
    labels = [mixture.locate(position)[0] for position in range(BLOCK, 2 * BLOCK)]
    assert [labels.count(source) for source in range(3)] == mixture.quotas == [32768, 19661, 13107]
    for start in range(0, BLOCK, 8192):  # binomial standard deviation 45
        assert abs(labels[start : start + 8192].count(0) - 4096) < 5 * 45


@pytest.mark.parametrize("windows", [(), (Window(2, 4), Window(1, 9), Window(1, 2))])
def test_weighted_sources_pass_through_epochs_of_their_own(windows):
    sources = [[5, 6], [40], [3]]
    sequence = SampleSequence(sources, seed=9, weights=[1.0, 2.0, 0.5], windows=windows)
    drawn = [sequence(position) for position in range(2000)]
    for number, lengths in enumerate(sources):
        own = [(draw.shard, draw.row) for draw in drawn if draw.source == number]
        size = sum(lengths)
        for start in range(0, len(own) - size, size):
            assert len(set(own[start : start + size])) == size


def test_resampling_is_uniform_and_with_replacement():
    """Chi-square over 50 samples and 5,000 draws: 85.4 is the 0.999 quantile for 49 degrees."""
    sequence = SampleSequence([[20, 30]], seed=1, resample=True)
    counts = Counter(sequence(position) for position in range(5000))
    assert len(counts) == 50
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 85.4
    first = [sequence(position) for position in range(50)]
    assert len(set(first)) < 45
    assert first == [sequence(position) for position in range(50)]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"weights": [1.0, 3.0]},
        {"resample": True},
        {"drop_tail": True},
        {"windows": [Window(8, 100)]},
        {"windows": [Window(8, 100), Window(2, 10)], "weights": [1.0, 3.0]},
        {"windows": [Window(8, 100)], "drop_tail": True},
    ],
)
def test_a_copy_in_another_process_continues_anywhere(settings):
    sequence = SampleSequence([[100] * 30, [17] * 5], seed=2, global_batch_size=64, **settings)
    for position in range(0, 69_000, 97):
        sequence(position)
    straight = [sequence(position) for position in range(69_500, 70_000)]
    copy = pickle.loads(pickle.dumps(sequence))  # noqa: S301 (our own bytes)
    assert [copy(position) for position in range(69_500, 70_000)] == straight


@pytest.mark.parametrize("windows", [(), (Window(1000, 100_000),)])
def test_ten_million_samples_cost_little_memory(windows):
    """tracemalloc counts numpy's arrays too; the whole order would take 80 MB."""
    import tracemalloc

    tracemalloc.start()
    sequence = SampleSequence([[10_000] * 1000], seed=0, global_batch_size=4096, windows=windows)
    for position in np.random.default_rng(0).integers(0, 40_000_000, size=30).tolist():
        sequence(position)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6


def test_windows_say_what_is_read_next():
    sequence = SampleSequence([[500] * 40], seed=4)
    windows = sequence.windows_at(0)
    assert len(windows) == 20
    assert {sequence(position).shard for position in range(5000)} == set(windows[:10])
    assert {sequence(position).shard for position in range(5000, 10_000)} == set(windows[10:])
    last = sequence.windows_at(19_999)
    assert {sequence(position).shard for position in range(20_000, 25_000)} == set(last[10:])


def test_shards_that_are_mixed_are_those_read_next():
    sequence = SampleSequence([[500] * 40], seed=4, windows=[Window(20, 1000)])
    windows = sequence.windows_at(9_999)
    assert {sequence(position).shard for position in range(0, 10_000, 7)} == set(windows[:20])
    assert {sequence(position).shard for position in range(10_000, 20_000, 7)} == set(windows[20:])


def test_sequence_does_not_change_between_versions():
    """Runs resume across versions: these digests are of the sequence as first released (0.1.0)."""
    digests = {
        name: hashlib.sha256(
            repr([tuple(sequence(p)) for p in range(60_000, 70_000)]).encode()
        ).hexdigest()[:16]
        for name, sequence in {
            "pooled": SampleSequence([[7, 100], [33]], seed=5),
            "weighted": SampleSequence([[7, 100], [33]], seed=5, weights=[1.0, 2.0]),
            "resampled": SampleSequence([[7, 100], [33]], seed=5, resample=True),
        }.items()
    }
    assert digests == {
        "pooled": "34f59ecbd09abd1f",
        "weighted": "e8a8220ad870a0c8",
        "resampled": "90b789520826fc79",
    }


@pytest.mark.parametrize("weights", [[0.0, 1.0], [-1.0, 1.0], [float("nan"), 1.0], [1.0]])
def test_weights_that_make_no_sense_are_refused(weights):
    with pytest.raises(ConfigError, match=r"data\.weights"):
        SampleSequence([[1], [1]], seed=0, weights=weights)
