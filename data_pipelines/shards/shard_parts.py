"""Samples of many shards, a few neighbours of each at a time.

Where thousands of shards are read side by side, their whole indexes do not fit into memory, and
reading one whole for each sample would take longer than decoding. So the places of some neighbours
are read together, from the stored index of their shard.
"""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.shard_set import ShardSet
from data_pipelines.shards.sidecar import Stamp, is_consistent, stamp_of
from data_pipelines.shards.stored_rows import StoredRows, cut, locate, read_rows

#: Neighbours whose places are read together unless another number is asked for.
PART_SAMPLES = 64


class ShardPart(NamedTuple):
    """Some neighbours of a shard, by their number in it.

    Attributes:
        index: of these alone.
        first: number of the first of them.
        repeats: which one of equal keys each sample of the shard has that is not the first.
    """

    index: ShardIndex
    first: int
    repeats: Mapping[int, int]

    def key(self, row: int) -> str:
        """See ``ShardIndex.key``."""
        return self.index.key(row - self.first)

    def name(self, row: int) -> str:
        """See ``ShardIndex.name``."""
        number = self.repeats.get(row)
        return f"{self.index.mark}/{self.key(row)}" + (f"#{number}" if number else "")

    def read(self, row: int) -> dict[str, bytes]:
        """See ``ShardIndex.read``."""
        return self.index.read(row - self.first)


class _Known(NamedTuple):
    """A shard that was opened once: its stamp then, and where its index lies."""

    stamp: Stamp
    rows: StoredRows
    repeats: Mapping[int, int]


class ShardParts:
    """Parts of the shards of a set; those used last stay in memory. May be pickled.

    Args:
        shards: of the set.
        part_samples: neighbours in a part.
        kept_samples: whose places stay in memory, about 110 bytes each. Shards whose index could be
            stored nowhere stay whole besides.
    """

    def __init__(
        self, shards: ShardSet, *, kept_samples: int, part_samples: int = PART_SAMPLES
    ) -> None:
        self.shards = shards
        self._part_samples = part_samples
        self._num_kept = max(1, kept_samples // part_samples)
        self._parts: OrderedDict[tuple[int, int], ShardPart] = OrderedDict()
        self._known: dict[int, _Known] = {}
        self._whole: dict[int, ShardPart] = {}

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_parts": OrderedDict(), "_known": {}, "_whole": {}}

    def part(self, shard: int, row: int) -> ShardPart:
        """The part of a shard that a row lies in.

        Raises:
            ShardError: the shard cannot be read, or is not what it was when the set was opened.
        """
        if shard in self._whole:
            return self._whole[shard]
        number = row // self._part_samples
        found = self._parts.pop((shard, number), None)
        if found is None:
            first = number * self._part_samples
            last = min(first + self._part_samples, self.shards.lengths[shard])
            found = self._stored(shard, first, last) or self._opened(shard, first, last)
            if shard in self._whole:
                return found
            if len(self._parts) >= self._num_kept:
                self._parts.popitem(last=False)
        self._parts[shard, number] = found
        return found

    def _stored(self, shard: int, first: int, last: int) -> ShardPart | None:
        """From the index alone; None where the shard was not opened yet or has changed since."""
        known = self._known.get(shard)
        if known is None or _stamp(self.shards, shard) != known.stamp:
            return None
        layout = read_rows(known.rows, first, last)
        if layout is None or not is_consistent(layout, known.stamp.size):
            return None
        index = ShardIndex.over(self.shards.shards[shard], layout)
        return ShardPart(index, first, known.repeats)

    def _opened(self, shard: int, first: int, last: int) -> ShardPart:
        stamp = _stamp(self.shards, shard)
        whole = self.shards.opened(shard)
        rows = locate(whole.stored, whole.layout) if whole.stored else None
        if rows is None or stamp is None:
            self._whole[shard] = ShardPart(whole, 0, whole.repeats)
            return self._whole[shard]
        self._known[shard] = _Known(stamp, rows, whole.repeats)
        part = ShardIndex.over(self.shards.shards[shard], cut(whole.layout, first, last))
        return ShardPart(part, first, whole.repeats)


def _stamp(shards: ShardSet, number: int) -> Stamp | None:
    """None where the file cannot be found: opening it says what is wrong."""
    shard = shards.shards[number]
    if not isinstance(shard, Path):
        return shard.stamp
    try:
        return stamp_of(shard)
    except OSError:
        return None
