"""From a place among the chosen samples of a shard to the row in the shard, and no list of rows.

The bits stay as they are stored; beside them are the numbers of bits up to each block of 512, so
that a place is found by a search among these and a look into one block.
"""

from collections.abc import Sequence

import numpy as np

from data_pipelines.subsets.subset import SubsetShard

_BLOCK = 64  # bytes whose bits are counted together


class KeptRows:
    """Chosen rows of many shards by place. May be pickled.

    Places 0 to kept - 1 are the rows that are taken, in rising order; those behind are rows taken
    once more.

    Args:
        parts: what is chosen of each shard, numbered from 0; None for all of it.
    """

    def __init__(self, parts: Sequence[SubsetShard | None]) -> None:
        self._bits = [None if part is None else part.bits for part in parts]
        self._ends = [None if part is None else _block_ends(part.bits) for part in parts]
        self._repeated = {
            number: np.repeat(part.repeats.rows, part.repeats.extra.astype(np.int64))
            for number, part in enumerate(parts)
            if part is not None and len(part.repeats.rows)
        }

    def row(self, shard: int, place: int) -> int:
        """The row at a place, which must be one of the shard's."""
        bits, ends = self._bits[shard], self._ends[shard]
        if bits is None or ends is None:
            return place
        num_kept = int(ends[-1]) if len(ends) else 0
        if place >= num_kept:
            return int(self._repeated[shard][place - num_kept])
        block = int(ends.searchsorted(place, side="right"))
        before = int(ends[block - 1]) if block else 0
        first = block * _BLOCK
        inside = np.unpackbits(bits[first : first + _BLOCK], bitorder="little").nonzero()[0]
        return first * 8 + int(inside[place - before])


def _block_ends(bits: np.ndarray) -> np.ndarray:
    """Bits that are set up to the end of each block."""
    counts = np.bitwise_count(bits)
    firsts = np.arange(0, len(bits), _BLOCK)
    sums = np.add.reduceat(counts, firsts, dtype=np.int64) if len(bits) else np.empty(0, np.int64)
    return np.cumsum(sums).astype(np.uint32)
