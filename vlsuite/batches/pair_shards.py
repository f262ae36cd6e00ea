"""The training shards of all sources, found and measured."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from data_pipelines.schema import is_uid
from data_pipelines.shards.counts import count_problems
from data_pipelines.shards.order import WINDOW_SAMPLES, WINDOW_SHARDS
from data_pipelines.shards.repeats import repeated_samples
from data_pipelines.shards.shard_parts import ShardParts
from data_pipelines.shards.shard_set import Shard, ShardSet, find, name_of, summaries_of
from data_pipelines.shards.sidecar import Summary
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.sequence import check_sources
from vlsuite.batches.shuffling import Shuffling, shuffling_of
from vlsuite.batches.source_names import source_names
from vlsuite.errors import DataError

_SMALLEST_PART, _LARGEST_PART = 32, 1024  # samples whose places are read together


class ShardFacts(NamedTuple):
    """What a shard is: file name, number of samples, digest of its content."""

    name: str
    num_samples: int
    content: str


class PairShards:
    """The shards of all sources, found and measured; opened when they are read.

    Args:
        patterns: one source each.
        config: how to treat them; None takes the defaults.
    Raises:
        DataError: nothing is found, or a shard cannot be used, or, under data.on_bad=raise, is
            damaged.
    """

    def __init__(self, patterns: Sequence[str], config: DataConfig | None = None) -> None:
        config = config or DataConfig()
        self._config = config
        check_sources(config.weights, len(patterns))
        cache = config.build_cache()
        if any("://" in pattern for pattern in patterns):
            cache.check()
        by_source = [find(pattern, cache) for pattern in patterns]
        summaries = [summaries_of(shards) for shards in by_source]
        self.lengths = [[summary.num_samples for summary in part] for part in summaries]
        self.shard_set = ShardSet(
            [shard for part in by_source for shard in part],
            [summary for part in summaries for summary in part],
            layout_samples=sum(_samples_in_use(part) for part in self.lengths),
        )
        self.shuffling = shuffling_of(config, by_source)
        self.source_names = source_names(patterns)
        self.problems = [
            problem
            for shards, part in zip(by_source, summaries, strict=True)
            for problem in _problems(shards, part)
        ]
        self.problems += repeated_samples(
            self.shard_set.shards, [summary for part in summaries for summary in part]
        )
        if self.num_samples == 0:
            raise DataError(
                f"no samples in {', '.join(patterns) or 'data.train (empty)'}; name shards with "
                f"--set data.train=DIR (make some with 'vlsuite data build')"
            )
        if self.problems and config.on_bad == "raise":
            raise DataError(
                f"{self.problems[0]} ({len(self.problems)} such problems in all); mend the "
                "shards, or set data.on_bad=skip"
            )

    @classmethod
    def open(cls, config: DataConfig) -> "PairShards":
        """The shards of ``config.train``."""
        return cls(config.train, config)

    @property
    def num_samples(self) -> int:
        """Of all sources together."""
        return sum(sum(part) for part in self.lengths)

    def parts(self, shuffling: Shuffling) -> ShardParts:
        """The shards for reading in an order of this rule: what is mixed stays in memory."""
        windows = shuffling.windows
        if not windows:
            kept = sum(_samples_in_use(part) for part in self.lengths)
            return ShardParts(self.shard_set, kept_samples=kept, part_samples=_LARGEST_PART)
        # Neighbours that a window takes of a shard lie in about one part.
        slices = min(window.samples // window.shards for window in windows)
        return ShardParts(
            self.shard_set,
            kept_samples=5 * sum(window.samples for window in windows) // 2,
            part_samples=max(_SMALLEST_PART, min(slices, _LARGEST_PART)),
        )

    def fingerprint(
        self, global_batch_size: int, seed: int, shuffling: Shuffling | None = None
    ) -> str:
        """The same for runs whose sequence of samples is the same.

        Folders may differ: names, order and lengths of the shards count, not their place.

        Args:
            shuffling: the rule of the order; None for what the config comes to.
        """
        names = [[self.shard_set.name(n) for n in range(len(self.shard_set))], self.lengths]
        config = self._config
        mixing = [list(config.weights), config.resample, config.drop_tail]
        windows = (shuffling or self.shuffling).windows
        rule = [[list(window) for window in windows]] if windows else []
        told = json.dumps([names, mixing, global_batch_size, seed, *rule])
        return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    @cached_property
    def facts(self) -> list[ShardFacts]:
        """What each shard is, in their order."""
        shards = self.shard_set
        return [
            ShardFacts(shards.name(number), shards.lengths[number], shards.contents[number])
            for number in range(len(shards))
        ]

    @cached_property
    def content(self) -> str:
        """The same for shards of the same names, content and order, wherever they lie."""
        told = json.dumps(self.facts)
        return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def has_plain_keys(self) -> bool:
        """Whether the first sample's key is no permanent id, as in shards made elsewhere."""
        first = next(number for number, count in enumerate(self.shard_set.lengths) if count)
        return not is_uid(self.shard_set[first].key(0))

    @property
    def num_shards(self) -> int:
        """Of all sources together."""
        return len(self.shard_set)

    def samples_per_epoch(self, *, global_batch_size: int, drop_tail: bool) -> int:
        """Samples that count as one epoch in durations."""
        return self.num_samples - (self.num_samples % global_batch_size if drop_tail else 0)


def _samples_in_use(lengths: Sequence[int]) -> int:
    """Bound of the samples in two windows of shards and the shards of some stand-ins."""
    window = sum(sorted(lengths)[-WINDOW_SHARDS:])
    return 5 * max(window, WINDOW_SAMPLES) // 2


def _problems(shards: Sequence[Shard], summaries: Sequence[Summary]) -> Iterator[str]:
    """What is damaged, and what is missing by the manifests beside local shards."""
    found = list(zip(shards, summaries, strict=True))
    for shard, summary in found:
        yield from (f"{name_of(shard)}: {line}" for line in summary.problems)
    yield from count_problems(
        (shard, summary.num_samples) for shard, summary in found if isinstance(shard, Path)
    )
