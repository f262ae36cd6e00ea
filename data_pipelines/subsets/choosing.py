"""Rows taken one batch after another, in the memory of one bit a sample."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from data_pipelines.errors import DataError
from data_pipelines.subsets.subset import Repeats, ShardIdentity, SubsetShard


class Choosing:
    """Which rows of which shards are taken so far.

    Args:
        shards: in their order.
    """

    def __init__(self, shards: Sequence[ShardIdentity]) -> None:
        self._shards = list(shards)
        self._lengths = np.array([shard.num_samples for shard in shards], dtype=np.int64)
        sizes = -(-self._lengths // 8)
        self._firsts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)  # bytes
        self._bits = np.zeros(int(self._firsts[-1]), dtype=np.uint8)
        self._again: Counter[int] = Counter()

    def take(self, shards: Int64[np.ndarray, " rows"], rows: Int64[np.ndarray, " rows"]) -> None:
        """Take rows, given with the numbers of their shards.

        Raises:
            DataError: a shard has no such row.
        """
        outside = np.flatnonzero((rows < 0) | (rows >= self._lengths[shards]))
        if len(outside):
            shard, row = self._shards[int(shards[outside[0]])], int(rows[outside[0]])
            raise DataError(
                f"row {row} of {shard.name} is to be kept, which has {shard.num_samples:,} "
                "samples; it was written for other shards"
            )
        places, counts = np.unique(self._firsts[shards] * 8 + rows, return_counts=True)
        held, bit = self._bits[places >> 3], (1 << (places & 7)).astype(np.uint8)
        again = counts - 1 + (held & bit != 0)
        for place, times in zip(places[again > 0].tolist(), again[again > 0].tolist(), strict=True):
            self._again[place] += times
        np.bitwise_or.at(self._bits, places >> 3, bit)

    def parts(self) -> list[SubsetShard]:
        """What is taken, one part a shard."""
        places = np.array(sorted(self._again), dtype=np.int64)
        extra = np.array([self._again[place] for place in places.tolist()], dtype=np.uint32)
        owners = np.searchsorted(self._firsts, places >> 3, side="right") - 1
        bounds = np.searchsorted(owners, np.arange(len(self._shards) + 1))
        found = []
        for number, shard in enumerate(self._shards):
            first, last = self._firsts[number : number + 2].tolist()
            own = slice(*bounds[number : number + 2].tolist())
            rows = (places[own] - first * 8).astype(np.uint32)
            found.append(SubsetShard(shard, self._bits[first:last], Repeats(rows, extra[own])))
        return found
