"""The training shards of all sources, found and measured."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from data_pipelines.schema import is_uid
from data_pipelines.shards.counts import count_problems
from data_pipelines.shards.order import WINDOW_SAMPLES, WINDOW_SHARDS
from data_pipelines.shards.repeats import repeated_samples
from data_pipelines.shards.shard_parts import ShardParts
from data_pipelines.shards.shard_set import Shard, ShardSet, find, name_of, summaries_of
from data_pipelines.shards.sidecar import Summary
from data_pipelines.subsets.kept_rows import KeptRows
from data_pipelines.subsets.showing import RESHARD_BELOW
from data_pipelines.subsets.subset import ShardIdentity, SubsetShard, short_digest
from vlsuite.batches.caption_columns import CaptionColumns
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.sequence import check_sources
from vlsuite.batches.shuffling import Shuffling, shuffling_of
from vlsuite.batches.source_names import source_names
from vlsuite.batches.subsets import chosen_of
from vlsuite.errors import DataError

#: Begins the fingerprint of runs whose shards are told by their content.
BY_CONTENT = "content-"

_LARGEST_SPREAD = 4.0  # stored samples read for one that counts, where a subset leaves many out
_SMALLEST_PART, _LARGEST_PART = 32, 1024  # samples whose places are read together


class ShardFacts(NamedTuple):
    """What a shard is: file name, number of samples, digest of its content, and of which samples of
    it count, empty where all do."""

    name: str
    num_samples: int
    content: str
    chosen: str = ""

    @property
    def told(self) -> list[str | int]:
        """For digests and files; without a choice as it was before there were any."""
        return list(self) if self.chosen else list(self[:3])


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
        identities = list(map(_identities, by_source, summaries))
        self.chosen = chosen_of(config.subset, identities)
        self.kept = KeptRows(self.chosen) if config.subset else None
        self.lengths = _lengths(self.chosen, summaries)
        every = [identity for part in identities for identity in part]
        self.captions = CaptionColumns(config, every) if config.captions else None
        self.shard_set = ShardSet(
            [shard for part in by_source for shard in part],
            [summary for part in summaries for summary in part],
            layout_samples=sum(
                _samples_in_use([summary.num_samples for summary in part]) for part in summaries
            ),
        )
        self.shuffling = shuffling_of(config, by_source)
        self.source_names = source_names(patterns)
        self.problems = [
            problem
            for shards, part in zip(by_source, summaries, strict=True)
            for problem in _problems(shards, part)
        ]
        self.problems += repeated_samples(
            self.shard_set.shards,
            [summary for part in summaries for summary in part],
            self.rows_of,
        )
        if self.num_samples == 0 and config.subset:
            raise DataError(
                f"subset {', '.join(config.subset)} keeps no sample of {', '.join(patterns)}; make "
                "another with 'vlsuite curate subset'"
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
        """Samples of an epoch, of all sources together."""
        return sum(sum(part) for part in self.lengths)

    @property
    def share(self) -> float:
        """Of the stored samples that count, 0 to 1."""
        return _share(self._chosen_of_stored())

    @property
    def share_of_remote(self) -> float | None:
        """As ``share``, of what lies on remote storage; None where nothing does."""
        far = [not isinstance(shard, Path) for shard in self.shard_set.shards]
        found = zip(self._chosen_of_stored(), far, strict=True)
        return _share(pair for pair, is_far in found if is_far) if any(far) else None

    @property
    def described(self) -> str:
        """Numbers of samples and shards, for the start of a run."""
        if self.kept is None:
            return f"{self.num_samples} samples in {self.num_shards} shards"
        return (
            f"{self.num_samples} samples chosen by {', '.join(self._config.subset)} "
            f"({self.share:.1%} of {sum(self.shard_set.lengths)} in {self.num_shards} shards)"
        )

    @property
    def remarks(self) -> list[str]:
        """What someone who trains on these might do otherwise."""
        told = [] if self.captions is None else [self._captions_described(self.captions)]
        share = self.share_of_remote
        if share is None or share >= RESHARD_BELOW:
            return told
        return [
            *told,
            f"the subset takes {share:.0%} of samples on remote storage, and whole shards are "
            "fetched; to fetch only what is used write them anew: vlsuite curate reshard SHARDS "
            "--subset FILE --out DIR",
        ]

    def _captions_described(self, captions: CaptionColumns) -> str:
        """Share of each column in the draws, and of the stored samples that have it."""
        stored, total = sum(self.shard_set.lengths), sum(captions.weights)
        parts = []
        for name, weight, facts in zip(
            captions.names, captions.weights, captions.facts, strict=True
        ):
            known = facts.num_texts
            told = "" if known is None else f", which {known / max(1, stored):.1%} of samples have"
            parts.append(f"{name} {weight / total:.1%}{told}")
        return f"captions are drawn from {'; '.join(parts)}"

    def rows_of(self, shard: int) -> Int64[np.ndarray, " rows"] | None:
        """Rows of a shard that count, each once; None: all."""
        part = self.chosen[shard]
        return None if part is None else part.rows

    def _chosen_of_stored(self) -> Iterator[tuple[SubsetShard | None, int]]:
        return zip(self.chosen, self.shard_set.lengths, strict=True)

    def parts(self, shuffling: Shuffling) -> ShardParts:
        """The shards for reading in an order of this rule: what is mixed stays in memory."""
        windows = shuffling.windows
        if not windows:
            kept = _samples_in_use(self.shard_set.lengths)
            return ShardParts(self.shard_set, kept_samples=kept, part_samples=_LARGEST_PART)
        # Neighbours that a window takes of a shard lie in about one part.
        spread = min(_LARGEST_SPREAD, 1 / max(self.share, 1e-9))
        slices = int(spread * min(window.samples // window.shards for window in windows))
        return ShardParts(
            self.shard_set,
            kept_samples=int(spread * 5 * sum(window.samples for window in windows)) // 2,
            part_samples=max(_SMALLEST_PART, min(slices, _LARGEST_PART)),
        )

    def fingerprint(
        self, global_batch_size: int, seed: int, shuffling: Shuffling | None = None
    ) -> str:
        """The same for runs whose sequence of samples is the same.

        Folders may differ: names, order and content of the shards count, not their place, which of
        their samples are chosen, and with which captions they are shown.

        Args:
            shuffling: the rule of the order; None for what the config comes to.
        """
        told = self.old_fingerprint(global_batch_size, seed, shuffling)
        captions = [self.captions.rule] if self.captions else []
        return f"{BY_CONTENT}{_word([told, self.content, *captions])}"

    def old_fingerprint(
        self, global_batch_size: int, seed: int, shuffling: Shuffling | None = None
    ) -> str:
        """As runs had it that began when lengths stood for the content of shards."""
        names = [[self.shard_set.name(n) for n in range(len(self.shard_set))], self.lengths]
        config = self._config
        mixing = [list(config.weights), config.resample, config.drop_tail]
        windows = (shuffling or self.shuffling).windows
        rule = [[list(window) for window in windows]] if windows else []
        return _word([names, mixing, global_batch_size, seed, *rule])

    @cached_property
    def facts(self) -> list[ShardFacts]:
        """What each shard is, in their order; then the columns of captions beside them."""
        shards = self.shard_set
        found = [
            ShardFacts(
                shards.name(number),
                shards.lengths[number],
                shards.contents[number],
                "" if part is None else short_digest(part),
            )
            for number, part in enumerate(self.chosen)
        ]
        columns = self.captions.facts if self.captions else []
        return found + [
            ShardFacts(f"captions {column.name}", column.num_texts, column.identity)
            for column in columns
            if column.num_texts is not None
        ]

    @cached_property
    def content(self) -> str:
        """The same for shards of the same names, content and order, wherever they lie, of which the
        same samples are chosen."""
        return _word([facts.told for facts in self.facts])

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


def _word(told: list) -> str:
    text = json.dumps(told).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:16]


def _share(chosen: Iterable[tuple[SubsetShard | None, int]]) -> float:
    """Of the samples of shards, given with their numbers, that count."""
    counts = [(n if part is None else part.num_kept, n) for part, n in chosen]
    return sum(kept for kept, _ in counts) / max(1, sum(n for _, n in counts))


def _identities(shards: Sequence[Shard], summaries: Sequence[Summary]) -> list[ShardIdentity]:
    return [ShardIdentity.of(*found) for found in zip(shards, summaries, strict=True)]


def _lengths(
    chosen: Iterable[SubsetShard | None], summaries: Sequence[Sequence[Summary]]
) -> list[list[int]]:
    """Samples of an epoch, of each shard of each source."""
    every = iter(chosen)
    return [
        [
            summary.num_samples if part is None else part.num_taken
            for summary, part in zip(of_source, every, strict=False)
        ]
        for of_source in summaries
    ]


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
