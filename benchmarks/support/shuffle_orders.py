"""How well an order mixes shards, by the order alone: no file is needed."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.shards.order import shard_windows, window_order
from data_pipelines.shards.sliced_order import SlicedOrder, choose_window
from data_pipelines.shards.spread import expected_shards

#: Rows of one shard that count as neighbours: nearer than this.
NEAR = 16


class Mixing(NamedTuple):
    """Of the batches of an epoch, on average.

    Attributes:
        shards: that a batch has samples of.
        same_shard: of 1,000 pairs of samples in a batch, those of one shard.
        neighbours: of a million such pairs, those nearer than ``NEAR`` rows in a shard.
        meet_again: of a million such pairs, those in one batch in the next epoch too.
    """

    shards: float
    same_shard: float
    neighbours: float
    meet_again: float


def full_shuffle(num_shards: int, per_shard: int, batch_size: int) -> Mixing:
    """What a permutation drawn at random gives, exactly.

    A pair is any two of N samples: of one shard with (n - 1) / (N - 1), neighbours with
    2 sum_{d<NEAR} (n - d) / (n (N - 1)), in one batch again with (B - 1) / (N - 1).
    """
    total = num_shards * per_shard
    near = sum(2 * (per_shard - d) for d in range(1, min(NEAR, per_shard))) / per_shard
    return Mixing(
        expected_shards([per_shard] * num_shards, batch_size),
        1e3 * (per_shard - 1) / (total - 1),
        1e6 * near / (total - 1),
        1e6 * (batch_size - 1) / (total - 1),
    )


def measure(
    rule: str, num_shards: int, per_shard: int, batch_size: int, *, batches: int, seed: int
) -> Mixing:
    """The same of an order's batches, evenly spaced over the first epoch.

    Args:
        rule: "before" for ten shards at a time, "now" for what training does.
        batches: looked at.
    """
    lengths = [per_shard] * num_shards
    windows = _RULES[rule]
    step = num_shards * per_shard // batch_size // batches
    wanted = [number * step * batch_size for number in range(batches)]
    chosen = _batches(windows(lengths, seed, 0), wanted, batch_size)
    again = _places(windows(lengths, seed, 1), np.concatenate(chosen)) // batch_size
    pairs = batch_size * (batch_size - 1) / 2
    return Mixing(
        float(np.mean([len(np.unique(ids // per_shard)) for ids in chosen])),
        1e3 * float(np.mean([_equal_pairs(ids // per_shard) for ids in chosen])) / pairs,
        1e6 * float(np.mean([_near_pairs(ids, per_shard) for ids in chosen])) / pairs,
        1e6
        * float(np.mean([_equal_pairs(part) for part in again.reshape(batches, batch_size)]))
        / pairs,
    )


def _before(lengths: Sequence[int], seed: int, epoch: int) -> Iterator[np.ndarray]:
    for window in shard_windows(lengths, seed=seed, epoch=epoch):
        yield window_order(lengths, window, seed=seed, epoch=epoch)


def _now(lengths: Sequence[int], seed: int, epoch: int) -> Iterator[np.ndarray]:
    order = SlicedOrder(lengths, seed=seed, window=choose_window(len(lengths)))
    place = 0
    while place < len(order):
        _, ids = order.window_at(epoch, place)
        yield ids
        place += len(ids)


_RULES: dict[str, Callable[[Sequence[int], int, int], Iterator[np.ndarray]]] = {
    "before": _before,
    "now": _now,
}


def _batches(windows: Iterator[np.ndarray], firsts: Sequence[int], size: int) -> list[np.ndarray]:
    """The samples of the batches that begin at these places, in order."""
    found: list[list[np.ndarray]] = [[] for _ in firsts]
    begin = 0
    for ids in windows:
        for number, first in enumerate(firsts):
            low, high = max(first, begin), min(first + size, begin + len(ids))
            if low < high:
                found[number].append(ids[low - begin : high - begin])
        begin += len(ids)
        if begin >= firsts[-1] + size:
            break
    return [np.concatenate(parts) for parts in found]


def _places(windows: Iterator[np.ndarray], wanted: np.ndarray) -> np.ndarray:
    """Where each wanted sample stands."""
    sorter = np.argsort(wanted)
    ordered = wanted[sorter]
    places = np.full(len(wanted), -1)
    begin = 0
    for ids in windows:
        near = np.minimum(np.searchsorted(ordered, ids), len(ordered) - 1)
        hits = np.flatnonzero(ordered[near] == ids)
        places[sorter[near[hits]]] = begin + hits
        begin += len(ids)
    assert (places >= 0).all()
    return places


def _equal_pairs(values: np.ndarray) -> int:
    _, counts = np.unique(values, return_counts=True)
    return int((counts * (counts - 1) // 2).sum())


def _near_pairs(ids: np.ndarray, per_shard: int) -> int:
    rows = np.sort(ids)
    count = 0
    for distance in range(1, NEAR):
        near = rows[distance:] - rows[:-distance] < NEAR
        count += int((near & (rows[distance:] // per_shard == rows[:-distance] // per_shard)).sum())
    return count
