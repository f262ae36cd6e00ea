"""The order of one epoch as a pure function of its seed: the same for any number of processes.

Shards are permuted, then cut into windows of neighbours, and the samples of each window are
shuffled together. A reader therefore touches few files at a time, yet neighbours in the order
come from at least ten shards. The permutations sort by a hash (SplitMix64), not by a library
generator, so an order stays the same across library versions and a run can resume under another.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64, UInt64

#: Shards that are shuffled together, at least.
WINDOW_SHARDS = 10

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def epoch_order(
    lengths: Sequence[int], *, seed: int, epoch: int, block: int = 4096
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
    lengths: Sequence[int], *, seed: int, epoch: int, block: int = 4096
) -> list[list[int]]:
    """Shard numbers of each window, in reading order; every shard is in exactly one window.

    Raises:
        ValueError: a length is negative, or block is not positive.
    """
    if block < 1 or any(length < 0 for length in lengths):
        raise ValueError(f"block ({block}) must be positive and no length negative")
    keys = _hashes(np.arange(len(lengths), dtype=np.uint64), _stream(seed, epoch, 0))
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
    ids = np.concatenate([np.arange(starts[shard], starts[shard + 1]) for shard in window])
    keys = _hashes(ids.astype(np.uint64), _stream(seed, epoch, 1))
    return ids[np.argsort(keys, kind="stable")]


def _stream(seed: int, epoch: int, purpose: int) -> int:
    """A 64-bit start value for one use of the hash in one epoch."""
    state = 0
    for part in (seed, epoch, purpose):
        state = int(_hashes(np.array([part & _MASK], dtype=np.uint64), state)[0])
    return state


def _hashes(values: UInt64[np.ndarray, " n"], stream: int) -> UInt64[np.ndarray, " n"]:
    """SplitMix64 output for counter ``values`` started at ``stream``.

    Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", Figure 16.
    """
    state = (values + np.uint64(1)) * np.uint64(_GOLDEN) + np.uint64(stream)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
