"""The shards that a subset is made of, found and told apart."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.remote import CachedShard, is_remote
from data_pipelines.shards.shard_cache import ShardCache
from data_pipelines.shards.shard_set import Shard, find, summaries_of
from data_pipelines.shards.sidecar import cache_folder
from data_pipelines.subsets.subset import ShardIdentity

_CACHE_BYTES = 50 * 10**9


class Pool(NamedTuple):
    """Shards in their order, and which they are."""

    shards: list[Shard]
    identities: list[ShardIdentity]

    @property
    def num_samples(self) -> int:
        """Of all shards."""
        return sum(shard.num_samples for shard in self.identities)

    @property
    def is_remote(self) -> bool:
        """Whether any shard is fetched before it is read."""
        return any(isinstance(shard, CachedShard) for shard in self.shards)

    @property
    def indexes(self) -> Iterator[ShardIndex]:
        """The index of one shard after another."""
        return (ShardIndex.open(shard) for shard in self.shards)


def shards_at(patterns: Iterable[str | Path]) -> list[Shard]:
    """The shards behind paths, patterns or addresses, without repetitions, in the order named.

    Remote ones are found, not fetched.

    Raises:
        ShardError: there are none, or they cannot be listed.
    """
    cache = ShardCache(folder=cache_folder() / "shards", max_bytes=_CACHE_BYTES)
    shards: dict[Shard, None] = {}
    for pattern in patterns:
        far = is_remote(str(pattern))
        shards |= dict.fromkeys(find(str(pattern), cache) if far else find_shards(pattern))
    return list(shards)


def open_pool(patterns: Iterable[str]) -> Pool:
    """The shards behind paths, patterns or addresses.

    Raises:
        ShardError: there are none, or one cannot be read.
    """
    found = shards_at(patterns)
    return Pool(
        found, [ShardIdentity.of(*one) for one in zip(found, summaries_of(found), strict=True)]
    )
