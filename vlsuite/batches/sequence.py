"""The endless training sequence: position -> sample, a pure function of data, seed and settings.

Nothing here depends on processes, workers or what was read before, so a run's place in the
sequence is one number, and any part of the sequence can be computed by itself. Memory does not
grow with the data set: orders are kept for a few windows of samples at a time.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

from data_pipelines.shards.order import LazyOrder, hashed, shuffled_places
from data_pipelines.shards.sliced_order import SlicedOrder, Window
from data_pipelines.subsets.kept_rows import KeptRows
from vlsuite.errors import ConfigError, DataError

#: Positions in which every source gets its share exactly.
BLOCK = 1 << 16

# What a hash is for; each use has its own numbers.
_SOURCE_SEED, _BLOCK_SEED, _DRAW = 2, 3, 4


class Draw(NamedTuple):
    """A sample: number of its source, of its shard among all shards, and its row in the shard."""

    source: int
    shard: int
    row: int


class SampleSequence:
    """Which sample stands at each position.

    Without weights all sources are one pool: each epoch holds every sample once. With weights
    each source is a pool of its own that gives its share of the positions and passes through its
    own epochs, every sample once in each. May be pickled.

    Args:
        lengths: samples of each shard, one list a source.
        seed: of the run.
        weights: share of each source, in any unit; empty for one pool.
        windows: how far the samples of each pool are shuffled; empty for the rule of runs that
            began before there was a choice.
        resample: draw each sample independently and with replacement instead.
        global_batch_size: stand-ins come from outside the batch where the data allow it.
        drop_tail: an epoch ends at its last whole global batch; for one pool only.
        kept: rows of the samples that count, where ``lengths`` are numbers of those; None where
            every sample of a shard counts.
    Raises:
        DataError: a pool has no samples, or fewer than a batch under ``drop_tail``.
        ConfigError: the weights do not fit the sources.
    """

    def __init__(
        self,
        lengths: Sequence[Sequence[int]],
        *,
        seed: int,
        weights: Sequence[float] = (),
        windows: Sequence[Window] = (),
        resample: bool = False,
        global_batch_size: int = 1,
        drop_tail: bool = False,
        kept: KeptRows | None = None,
    ) -> None:
        self._kept = kept
        self._sources = [source for source, part in enumerate(lengths) for _ in part]
        self._mixture = Mixture(weights, seed=seed) if weights else None
        check_sources(weights, len(lengths))
        parts = lengths if weights else [[length for part in lengths for length in part]]
        first_shards = accumulate((len(part) for part in parts), initial=0)
        self._pools = [
            _Pool(
                part,
                first_shard=first_shard,
                seed=hashed(seed, number, _SOURCE_SEED) if weights else seed,
                window=windows[number] if windows else None,
                resample=resample,
                global_batch_size=global_batch_size,
                drop_tail=drop_tail,
            )
            for number, (part, first_shard) in enumerate(zip(parts, first_shards, strict=False))
        ]

    def __call__(self, position: int, attempt: int = 0) -> Draw:
        """The sample at ``position``; with ``attempt`` > 0 the one that stands in for it.

        Stand-ins lie half an epoch away in the sequence, then at other far places.
        """
        pool, place = self._locate(position)
        shard, row = self._pools[pool].draw(place, attempt)
        if self._kept is not None:
            row = self._kept.row(shard, row)
        return Draw(self._sources[shard], shard, row)

    @property
    def max_attempts(self) -> int:
        """How many different samples the poorest position can be given."""
        return min(pool.max_attempts for pool in self._pools)

    def windows_at(self, position: int) -> list[int]:
        """Shards that are read around ``position``, then those that are read after them."""
        pools = [self._pools[pool].windows(place) for pool, place in self._places(position)]
        now = [shard for windows in pools for shard in windows[0]]
        after = [shard for windows in pools for window in windows[1:] for shard in window]
        return [*now, *after]

    def _locate(self, position: int) -> tuple[int, int]:
        return self._mixture.locate(position) if self._mixture else (0, position)

    def _places(self, position: int) -> list[tuple[int, int]]:
        if self._mixture is None:
            return [(0, position)]
        return list(enumerate(self._mixture.counts_before(position)))


class Mixture:
    """Which source each position takes, in exact shares.

    Every block of ``BLOCK`` positions gives each source the same number of them (the shares
    rounded by the largest-remainder method, at least 1); within a block they are shuffled.

    Args:
        weights: positive, one a source.
        seed: of the run.
    Raises:
        ConfigError: a weight is not a positive number, or there are too many of them.
    """

    def __init__(self, weights: Sequence[float], *, seed: int) -> None:
        self.quotas = block_quotas(weights)
        self._seed = seed
        self._blocks: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __getstate__(self) -> dict:
        return self.__dict__ | {"_blocks": {}}

    def locate(self, position: int) -> tuple[int, int]:
        """The source of ``position``, and how many earlier positions it has."""
        number, place = divmod(position, BLOCK)
        labels, ranks = self._block(number)
        source = int(labels[place])
        return source, number * self.quotas[source] + int(ranks[place])

    def counts_before(self, position: int) -> list[int]:
        """Positions of each source before ``position``."""
        number, place = divmod(position, BLOCK)
        within = np.bincount(self._block(number)[0][:place], minlength=len(self.quotas))
        return [number * quota + int(n) for quota, n in zip(self.quotas, within, strict=True)]

    def _block(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Source of each position of a block, and its rank among those of that source."""
        found = self._blocks.get(number)
        if found is None:
            # Sources take neighbouring numbers of a permutation's range.
            places = shuffled_places(BLOCK, seed=hashed(self._seed, number, _BLOCK_SEED))
            starts = np.concatenate([[0], np.cumsum(self.quotas)])
            labels = np.empty(BLOCK, dtype=np.int32)
            ranks = np.empty(BLOCK, dtype=np.int32)
            for source, (low, high) in enumerate(pairwise(starts.tolist())):
                own = np.sort(places[low:high])
                labels[own] = source
                ranks[own] = np.arange(high - low)
            found = labels, ranks
            if len(self._blocks) >= 2:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[number] = found
        return found


def check_sources(weights: Sequence[float], num_sources: int) -> None:
    """Refuse weights that do not fit the sources; none at all always fit.

    Raises:
        ConfigError: their numbers differ.
    """
    if weights and len(weights) != num_sources:
        raise ConfigError(
            f"data.weights has {len(weights)} values for {num_sources} sources in data.train; "
            "give one for each"
        )


def block_quotas(weights: Sequence[float]) -> list[int]:
    """Positions of each source in a block of ``BLOCK``: largest remainders, at least 1 each.

    Raises:
        ConfigError: a weight is not a positive number, or there are too many of them.
    """
    if not all(math.isfinite(weight) and weight > 0 for weight in weights):
        raise ConfigError(
            f"data.weights {tuple(weights)} must be positive numbers; leave a source that is "
            "not wanted out of data.train"
        )
    if len(weights) > BLOCK // 2:
        raise ConfigError(f"data.weights names {len(weights)} sources, at most {BLOCK // 2} work")
    total = math.fsum(weights)
    exact = [weight / total * BLOCK for weight in weights]
    quotas = [max(1, math.floor(value)) for value in exact]
    by_remainder = sorted(
        range(len(quotas)), key=lambda source: (quotas[source] - exact[source], source)
    )
    missing = BLOCK - sum(quotas)
    for source in by_remainder[: max(missing, 0)]:
        quotas[source] += 1
    while sum(quotas) > BLOCK:  # sources raised to 1 took too much: the largest give it back
        quotas[quotas.index(max(quotas))] -= 1
    return quotas


class _Pool:
    """Samples that share epochs: places 0, 1, 2, ... without end."""

    def __init__(
        self,
        lengths: Sequence[int],
        *,
        first_shard: int,
        seed: int,
        window: Window | None,
        resample: bool,
        global_batch_size: int,
        drop_tail: bool,
    ) -> None:
        self._first_shard = first_shard
        self._seed = seed
        self._resample = resample
        self._order: LazyOrder | SlicedOrder
        if window is None:
            self._order = LazyOrder(lengths, seed=seed)
        else:
            self._order = SlicedOrder(lengths, seed=seed, window=window)
        self._lengths = lengths
        self._ends = list(accumulate(lengths))
        self._size = len(self._order)
        if self._size == 0:
            raise DataError("a source of data.train has no samples; leave it out")
        tail = self._size % global_batch_size if drop_tail else 0
        self._epoch_size = self._size - tail
        if self._epoch_size == 0:
            raise DataError(
                f"data.drop_tail leaves nothing of {self._size} samples at global_batch_size="
                f"{global_batch_size}; lower one or switch off the other"
            )
        # Stand-ins are at least this far, so outside the batch, where the epoch is long enough.
        self._distance = global_batch_size if self._size >= 2 * global_batch_size else 1
        self._room = max(self._size - 2 * self._distance + 1, 1)
        self._stride = _coprime_stride(self._room)

    @property
    def max_attempts(self) -> int:
        """Different samples one place can be given."""
        return 1 if self._size == 1 else self._room + 1

    def draw(self, place: int, attempt: int) -> tuple[int, int]:
        """Shard (among all shards) and row at ``place``, or of its stand-in."""
        if self._resample:
            sample = hashed(self._seed, place, attempt, _DRAW) % self._size
        else:
            epoch, offset = divmod(place, self._epoch_size)
            sample = self._order(epoch, (offset + self._away(attempt)) % self._size)
        shard = bisect_right(self._ends, sample)
        start = self._ends[shard - 1] if shard else 0
        return self._first_shard + shard, sample - start

    def windows(self, place: int) -> list[list[int]]:
        """Shards (among all shards) that are mixed at ``place``, and those mixed next; none known
        if samples are drawn at random."""
        if self._resample:
            return [[]]
        epoch, offset = divmod(place, self._epoch_size)
        found = self._order.windows_from(epoch, offset, count=2)
        return [
            [self._first_shard + shard for shard in window if self._lengths[shard]]
            for window in found
        ]

    def _away(self, attempt: int) -> int:
        if attempt == 0:
            return 0
        half = self._size // 2 - self._distance
        return self._distance + (half + (attempt - 1) * self._stride) % self._room


def _coprime_stride(room: int) -> int:
    """About 0.62 of ``room`` (the golden section spreads multiples), without a common divisor."""
    stride = max(1, round(room * 0.618))
    while math.gcd(stride, room) != 1:
        stride += 1
    return stride
