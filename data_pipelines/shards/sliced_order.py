"""The order of one epoch over many shards at once, in the memory of a few.

Shards are permuted and cut into groups. The shards of a group are cut into equally many slices of
neighbours, and a window takes one slice of each of them, so that it holds samples of all; the
samples of a window are shuffled together. Where the slices of a shard begin, and which window
takes which of them, differs between epochs, so that neighbours do not always share a window. As in
``order``, everything follows from hashes: any place of any epoch is found by itself.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from data_pipelines.shards.order import hashed, hashes

#: Samples that are shuffled together unless another number is asked for.
WINDOW_SAMPLES = 100_000

#: Neighbours that a window takes from a shard at least, unless a number of shards is asked for:
#: where they are stored, what is read of one is near what is read of the next.
SLICE_SAMPLES = 16

#: Shards that are mixed at least, where there are as many.
FEWEST_SHARDS = 10

# What a hash is for; each use has its own numbers (``order`` and the sequence have 0 to 4).
_SHARDS, _STRIDE, _PHASE, _BEGIN, _SAMPLES = 5, 6, 7, 8, 9

_ENTRIES = 1 << 18  # of a table of slices at a time


class Window(NamedTuple):
    """How far samples are shuffled.

    Attributes:
        shards: mixed at a time, at least; fewer than twice as many are, so that all groups of
            shards are of one size.
        samples: shuffled together, about.
    """

    shards: int
    samples: int

    def num_groups(self, num_shards: int) -> int:
        """Groups that so many shards are cut into."""
        return max(1, num_shards // self.shards)


class _Group(NamedTuple):
    """Shards that are mixed, how each is cut, and the number of samples up to each window's end."""

    shards: Int64[np.ndarray, " shards"]
    lengths: Int64[np.ndarray, " shards"]
    strides: Int64[np.ndarray, " shards"]
    phases: Int64[np.ndarray, " shards"]
    begins: Int64[np.ndarray, " shards"]
    ends: list[int]


class _Epoch(NamedTuple):
    """Shards in reading order, and where each group begins among them and among the samples."""

    shards: Int64[np.ndarray, " shards"]
    first_shards: list[int]
    first_samples: list[int]


class SlicedOrder:
    """A permutation of all samples for each epoch, by place: nothing of an epoch is kept whole.

    Sample j of shard s has the global id sum(lengths[:s]) + j. May be pickled.

    Args:
        lengths: number of samples of each shard, in the order the shards are listed.
        seed: of the run; any integer.
        window: how far samples are shuffled.
        windows_kept: the memory is 8 bytes a sample of these, 0.8 MB for one of 100,000.
    Raises:
        ValueError: a length is negative, or the window has no shards or samples.
    """

    def __init__(
        self, lengths: Sequence[int], *, seed: int, window: Window, windows_kept: int = 6
    ) -> None:
        if min(window) < 1 or any(length < 0 for length in lengths):
            raise ValueError(f"{window} must be positive and no length negative")
        self._lengths = np.array(lengths, dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self._lengths)]).astype(np.int64)
        self._seed = seed
        self._window = window
        self._windows_kept = windows_kept
        self._forget()

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name not in _CACHES}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._forget()

    def __call__(self, epoch: int, place: int) -> int:
        """The global sample id at ``place`` (0 to ``len(self)`` - 1) of an epoch."""
        first, ids = self.window_at(epoch, place)
        return int(ids[place - first])

    def window_at(self, epoch: int, place: int) -> tuple[int, Int64[np.ndarray, " window_samples"]]:
        """The window that ``place`` lies in: its first place, and its samples in their order."""
        starts = self._epoch(epoch).first_samples
        number = bisect_right(starts, place) - 1
        ends = self._group(epoch, number).ends
        window = bisect_right(ends, place - starts[number])
        ids = self._order(epoch, number, window)
        return starts[number] + ends[window] - len(ids), ids

    def windows_from(self, epoch: int, place: int, *, count: int) -> list[list[int]]:
        """Shards of the group that ``place`` lies in and of those read after it."""
        number = bisect_right(self._epoch(epoch).first_samples, place) - 1
        num_groups = len(self._epoch(epoch).first_shards) - 1
        places = [divmod(n, num_groups) for n in range(number, number + count)]
        return [self._shards(epoch + later, group).tolist() for later, group in places]

    def _forget(self) -> None:
        self._epoch = lru_cache(2)(self._find_epoch)
        self._group = lru_cache(4)(self._find_group)
        self._order = lru_cache(self._windows_kept)(self._find_order)

    def _find_epoch(self, epoch: int) -> _Epoch:
        count = len(self._lengths)
        keys = hashes(np.arange(count, dtype=np.uint64), hashed(self._seed, epoch, _SHARDS))
        shards = np.argsort(keys, kind="stable")
        num_groups = self._window.num_groups(count)
        firsts = [count * group // num_groups for group in range(num_groups + 1)]
        before = np.concatenate([[0], np.cumsum(self._lengths[shards])])
        return _Epoch(shards, firsts, before[firsts[:-1]].tolist())

    def _shards(self, epoch: int, number: int) -> Int64[np.ndarray, " shards"]:
        found = self._epoch(epoch)
        return found.shards[found.first_shards[number] : found.first_shards[number + 1]]

    def _find_group(self, epoch: int, number: int) -> _Group:
        shards = self._shards(epoch, number)
        lengths = self._lengths[shards]
        num_windows = max(1, math.ceil(int(lengths.sum()) / self._window.samples))
        strides = np.array(_without_common_divisor(num_windows), dtype=np.int64)
        group = _Group(
            shards,
            lengths,
            strides=strides[self._drawn(shards, epoch, _STRIDE, len(strides))],
            phases=self._drawn(shards, epoch, _PHASE, num_windows),
            begins=self._drawn(shards, epoch, _BEGIN, np.maximum(lengths, 1)),
            ends=[0] * num_windows,
        )
        return group._replace(ends=np.cumsum(_window_sizes(group)).tolist())

    def _drawn(
        self,
        shards: Int64[np.ndarray, " shards"],
        epoch: int,
        use: int,
        below: "int | Int64[np.ndarray, ' shards']",
    ) -> Int64[np.ndarray, " shards"]:
        """A number from 0 to ``below`` - 1 for each shard."""
        keys = hashes(shards.astype(np.uint64), hashed(self._seed, epoch, use))
        return (keys >> np.uint64(1)).astype(np.int64) % below

    def _find_order(
        self, epoch: int, number: int, window: int
    ) -> Int64[np.ndarray, " window_samples"]:
        group = self._group(epoch, number)
        lows, highs = _bounds(group, np.array([window]))
        lows, counts = lows[:, 0], (highs - lows)[:, 0]
        firsts = np.cumsum(counts) - counts
        within = np.arange(int(counts.sum())) - np.repeat(firsts, counts)
        lengths = np.repeat(group.lengths, counts)
        rows = (np.repeat(group.begins + lows, counts) + within) % np.maximum(lengths, 1)
        ids = np.repeat(self._starts[group.shards], counts) + rows
        keys = hashes(ids.astype(np.uint64), hashed(self._seed, epoch, _SAMPLES))
        return ids[np.argsort(keys, kind="stable")]


_CACHES = ("_epoch", "_group", "_order")


def choose_window(
    num_shards: int,
    *,
    shards: int | None = None,
    samples: int = WINDOW_SAMPLES,
    at_most: int | None = None,
) -> Window:
    """The window of a set.

    Args:
        num_shards: of the set.
        shards: that are asked for; None for as many as give slices of ``SLICE_SAMPLES``.
        samples: shuffled together.
        at_most: shards, where none are asked for; at least ``FEWEST_SHARDS`` are taken.
    """
    if shards is None:
        wanted = samples // SLICE_SAMPLES
        shards = max(FEWEST_SHARDS, wanted if at_most is None else min(wanted, at_most))
    return Window(max(1, min(shards, num_shards)), samples)


def _bounds(
    group: _Group, windows: Int64[np.ndarray, " windows"]
) -> "tuple[Int64[np.ndarray, 'shards windows'], Int64[np.ndarray, 'shards windows']]":
    """First and last place (exclusive) of the slice that each window takes from each shard, counted
    from where the slices of the shard begin."""
    num_slices = len(group.ends)
    taken = (group.strides[:, None] * windows + group.phases[:, None]) % num_slices
    lengths = group.lengths[:, None]
    return taken * lengths // num_slices, (taken + 1) * lengths // num_slices


def _window_sizes(group: _Group) -> Int64[np.ndarray, " windows"]:
    step = max(1, _ENTRIES // max(1, len(group.shards)))
    sizes = []
    for first in range(0, len(group.ends), step):
        lows, highs = _bounds(group, np.arange(first, min(first + step, len(group.ends))))
        sizes.append((highs - lows).sum(axis=0))
    return np.concatenate(sizes)


def _without_common_divisor(count: int) -> list[int]:
    """Numbers from 1 to ``count`` that have no common divisor with it: steps that meet all."""
    return [step for step in range(1, count + 1) if math.gcd(step, count) == 1]
