"""The order of one epoch as a pure function of its seed: the same for any number of processes.

Shards are permuted, then cut into windows of neighbours, and the samples of each window are
shuffled together. A reader therefore touches few files at a time, yet neighbours in the order
come from at least ten shards. The permutations sort by a hash (SplitMix64), not by a library
generator, so an order stays the same across library versions and a run can resume under another.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, UInt64

#: Shards that are shuffled together, at least.
WINDOW_SHARDS = 10

#: Samples that are shuffled together, at least, unless another number is asked for.
WINDOW_SAMPLES = 4096

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def epoch_order(
    lengths: Sequence[int], *, seed: int, epoch: int, block: int = WINDOW_SAMPLES
) -> Int64[np.ndarray, " samples"]:
    """A permutation of the global sample ids 0..sum(lengths)-1 for one epoch.

    Sample j of shard s has the global id sum(lengths[:s]) + j.

    Args:
        lengths: number of samples of each shard, in the order the shards are listed.
        seed: of the run; any integer.
        epoch: counted from 0.
        block: samples shuffled together at least (a window also spans >= 10 shards).
    Raises:
        ValueError: a length is negative, or block is not positive.
    """
    windows = shard_windows(lengths, seed=seed, epoch=epoch, block=block)
    orders = [window_order(lengths, window, seed=seed, epoch=epoch) for window in windows]
    return np.concatenate(orders) if orders else np.empty(0, dtype=np.int64)


def shard_windows(
    lengths: Sequence[int], *, seed: int, epoch: int, block: int = WINDOW_SAMPLES
) -> list[list[int]]:
    """Shard numbers of each window, in reading order; every shard is in exactly one window.

    Raises:
        ValueError: a length is negative, or block is not positive.
    """
    if block < 1 or any(length < 0 for length in lengths):
        raise ValueError(f"block ({block}) must be positive and no length negative")
    keys = hashes(np.arange(len(lengths), dtype=np.uint64), hashed(seed, epoch, 0))
    windows: list[list[int]] = []
    shards: list[int] = []
    samples = 0
    for shard in np.argsort(keys, kind="stable").tolist():
        shards.append(shard)
        samples += lengths[shard]
        if len(shards) >= WINDOW_SHARDS and samples >= block:
            windows.append(shards)
            shards, samples = [], 0
    if shards:
        windows = [*windows[:-1], [*windows[-1], *shards]] if windows else [shards]
    return windows


def window_order(
    lengths: Sequence[int], window: Sequence[int], *, seed: int, epoch: int
) -> Int64[np.ndarray, " window_samples"]:
    """Global sample ids of the shards in ``window``, shuffled together."""
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return _shuffled(starts, window, seed=seed, epoch=epoch)


class _Epoch(NamedTuple):
    """Shards of each window, and the number of samples up to the end of each."""

    windows: list[list[int]]
    ends: list[int]


class LazyOrder:
    """``epoch_order`` by place: what was asked for lately is kept, not whole epochs.

    May be pickled; the copy computes its windows anew.

    Args:
        lengths, seed, block: see ``epoch_order``.
        windows_kept: the memory is 8 bytes a sample of these, 0.8 MB for ten shards of 10,000.
    Raises:
        ValueError: a length is negative, or block is not positive.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        seed: int,
        block: int = WINDOW_SAMPLES,
        windows_kept: int = 6,
    ) -> None:
        self._lengths = [int(length) for length in lengths]
        self._starts = np.concatenate([[0], np.cumsum(self._lengths)]).astype(np.int64)
        self._seed = seed
        self._block = block
        self._windows_kept = windows_kept
        self._epochs: dict[int, _Epoch] = {}
        self._orders: dict[tuple[int, int], np.ndarray] = {}
        self._epoch(0)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_epochs": {}, "_orders": {}}

    def __call__(self, epoch: int, place: int) -> int:
        """The global sample id at ``place`` (0 to ``len(self)`` - 1) of an epoch."""
        ends = self._epoch(epoch).ends
        number = bisect_right(ends, place)
        order = self._order(epoch, number)
        return int(order[place - ends[number] + len(order)])

    def windows_from(self, epoch: int, place: int, *, count: int) -> list[list[int]]:
        """Shards of the window that ``place`` lies in and of those read after it."""
        windows, ends = self._epoch(epoch)
        first = bisect_right(ends, place)
        found = windows[first : first + count]
        if len(found) < count:
            found = found + self._epoch(epoch + 1).windows[: count - len(found)]
        return found

    def _epoch(self, number: int) -> _Epoch:
        found = self._epochs.get(number)
        if found is None:
            windows = shard_windows(self._lengths, seed=self._seed, epoch=number, block=self._block)
            sizes = (sum(self._lengths[shard] for shard in window) for window in windows)
            found = _Epoch(windows, list(accumulate(sizes)))
            if len(self._epochs) >= 2:
                del self._epochs[next(iter(self._epochs))]
            self._epochs[number] = found
        return found

    def _order(self, epoch: int, number: int) -> Int64[np.ndarray, " window_samples"]:
        order = self._orders.pop((epoch, number), None)
        if order is None:
            window = self._epoch(epoch).windows[number]
            order = _shuffled(self._starts, window, seed=self._seed, epoch=epoch)
            if len(self._orders) >= self._windows_kept:
                del self._orders[next(iter(self._orders))]
        self._orders[epoch, number] = order
        return order


def hashed(*parts: int) -> int:
    """A 64-bit number that depends on all ``parts``, evenly spread over its range."""
    state = 0
    for part in parts:
        state = int(hashes(np.array([part & _MASK], dtype=np.uint64), state)[0])
    return state


def shuffled_places(count: int, *, seed: int) -> Int64[np.ndarray, " count"]:
    """A permutation of 0 to ``count`` - 1."""
    return np.argsort(hashes(np.arange(count, dtype=np.uint64), seed), kind="stable")


def _shuffled(
    starts: Int64[np.ndarray, " shards_plus_one"], window: Sequence[int], *, seed: int, epoch: int
) -> Int64[np.ndarray, " window_samples"]:
    ids = np.concatenate([np.arange(starts[shard], starts[shard + 1]) for shard in window])
    keys = hashes(ids.astype(np.uint64), hashed(seed, epoch, 1))
    return ids[np.argsort(keys, kind="stable")]


def hashes(values: UInt64[np.ndarray, " n"], stream: int) -> UInt64[np.ndarray, " n"]:
    """SplitMix64 output for counter ``values`` started at ``stream``.

    Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", Figure 16.
    """
    state = (values + np.uint64(1)) * np.uint64(_GOLDEN) + np.uint64(stream)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
