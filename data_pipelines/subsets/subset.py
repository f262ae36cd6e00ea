"""A subset of the samples of some shards: one bit a sample, and what the shards were.

A subset chooses rows (places in a shard's index order) of shards that it names by file name,
number of samples and content; folders do not count. A row may be taken several times, as DataComp
does with uids that stand more than once in a list. The digest follows from the choice and the
shards alone, not from how the choice was made.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, UInt8, UInt32

from data_pipelines.schema import JsonValue
from data_pipelines.shards.index import summarise
from data_pipelines.shards.shard_set import Shard, name_of
from data_pipelines.shards.sidecar import Summary

_DIGITS = 32  # of the digest, hexadecimal
_SHORT_DIGITS = 12


class ShardIdentity(NamedTuple):
    """Which shard a part of a subset is of.

    Attributes:
        name: of the file.
        num_samples: in it.
        mark: see ``content_mark``.
        content: see ``content_digest``; empty where only an old index of a remote shard is known.
    """

    name: str
    num_samples: int
    mark: str
    content: str

    @classmethod
    def of(cls, shard: Shard, summary: Summary | None = None) -> "ShardIdentity":
        """Of a shard, whose summary is looked up where it is not given.

        Raises:
            ShardError: the shard cannot be read.
        """
        known = summarise(shard) if summary is None else summary
        return cls(name_of(shard), known.num_samples, known.mark, known.content)

    def is_content_of(self, other: "ShardIdentity") -> bool:
        """Whether two shards hold the same, whatever they are called."""
        if self.num_samples != other.num_samples:
            return False
        if self.content and other.content:
            return self.content == other.content
        return self.mark == other.mark


class Repeats(NamedTuple):
    """Rows that are taken more than once: in rising order, and how often besides once."""

    rows: UInt32[np.ndarray, " repeated"]
    extra: UInt32[np.ndarray, " repeated"]

    @property
    def num_extra(self) -> int:
        """Samples that these add to an epoch."""
        return int(self.extra.sum())


_NO_REPEATS = Repeats(np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.uint32))


class SubsetShard(NamedTuple):
    """What is chosen of one shard.

    Attributes:
        shard: which one.
        bits: row r is bit r % 8, from the lowest, of byte r // 8; bits past the last row are 0.
        repeats: rows that are taken more than once.
    """

    shard: ShardIdentity
    bits: UInt8[np.ndarray, " bytes"]
    repeats: Repeats = _NO_REPEATS

    @classmethod
    def from_counts(
        cls, shard: ShardIdentity, counts: Int64[np.ndarray, " samples"]
    ) -> "SubsetShard":
        """From how often each row is taken, 0 for those that are left out."""
        rows = np.flatnonzero(counts > 1)
        repeats = Repeats(rows.astype(np.uint32), (counts[rows] - 1).astype(np.uint32))
        return cls(shard, packed(counts > 0), repeats if len(rows) else _NO_REPEATS)

    @property
    def num_kept(self) -> int:
        """Rows that are taken."""
        return int(np.bitwise_count(self.bits).sum(dtype=np.int64))

    @property
    def num_taken(self) -> int:
        """Samples of an epoch: rows that are taken, as often as they are."""
        return self.num_kept + self.repeats.num_extra

    @property
    def rows(self) -> Int64[np.ndarray, " kept"]:
        """Rows that are taken, each once, in rising order."""
        is_kept = np.unpackbits(self.bits, count=self.shard.num_samples, bitorder="little")
        return np.flatnonzero(is_kept)

    @property
    def counts(self) -> Int64[np.ndarray, " samples"]:
        """How often each row is taken."""
        is_kept = np.unpackbits(self.bits, count=self.shard.num_samples, bitorder="little")
        counts = is_kept.astype(np.int64)
        counts[self.repeats.rows] += self.repeats.extra
        return counts

    def feed(self, digest: "hashlib._Hash") -> None:
        """Take the shard and the choice into a digest."""
        told = "\0".join(map(str, self.shard)).encode("utf-8", "surrogateescape")
        repeats = (array.astype("<u4").tobytes() for array in self.repeats)
        for part in (told, self.bits.tobytes(), *repeats):
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)


@dataclass(frozen=True, kw_only=True)
class Subset:
    """What is chosen of some shards.

    Attributes:
        parts: one a shard, in the order of the shards it was made for.
        provenance: how it was made: recipe, inputs, counts by reason.
    """

    parts: Sequence[SubsetShard]
    provenance: Mapping[str, JsonValue] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """32 hexadecimal digits of SHA-256 over the shards and the choice."""
        digest = hashlib.sha256()
        for part in self.parts:
            part.feed(digest)
        return digest.hexdigest()[:_DIGITS]

    @property
    def num_samples(self) -> int:
        """Of all shards, chosen or not."""
        return sum(part.shard.num_samples for part in self.parts)

    @cached_property
    def num_kept(self) -> int:
        """Samples that are taken, each counted once."""
        return sum(part.num_kept for part in self.parts)

    @cached_property
    def num_taken(self) -> int:
        """Samples of an epoch: those that are taken, as often as they are."""
        return sum(part.num_taken for part in self.parts)

    @property
    def share(self) -> float:
        """Of the samples that are taken, 0 to 1."""
        return self.num_kept / max(1, self.num_samples)


def packed(is_kept: Bool[np.ndarray, " samples"]) -> UInt8[np.ndarray, " bytes"]:
    """One bit a row, as ``SubsetShard.bits`` has them."""
    return np.packbits(is_kept, bitorder="little")


def short_digest(part: SubsetShard) -> str:
    """12 hexadecimal digits for what is chosen of one shard."""
    digest = hashlib.sha256()
    part.feed(digest)
    return digest.hexdigest()[:_SHORT_DIGITS]
