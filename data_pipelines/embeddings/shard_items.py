"""Samples of shards as items."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.embeddings.item import Item, Wanted, part_ranges
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.stored_rows import cut
from data_pipelines.shards.stored_sample import StoredSample, printable

_PARTS = 4  # of a shard, of which there are usually many


@dataclass(frozen=True, kw_only=True, slots=True)
class ShardPart:
    """Rows ``first`` to ``last`` (exclusive) of a shard."""

    shard: Path
    first: int
    last: int
    content: str

    @property
    def num_rows(self) -> int:
        """See ``Part``."""
        return self.last - self.first

    @property
    def source(self) -> dict[str, JsonValue]:
        """See ``Part``."""
        place = str(self.shard.absolute())
        return {"kind": "shard", "path": place, "first": self.first, "last": self.last}

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """See ``Part``.

        Raises:
            ShardError: the shard is gone, or not what it was.
        """
        whole = ShardIndex.open(self.shard)
        if content_of(whole) != self.content:
            raise DataError(f"{self.shard} changed while it was read; run it again")
        part = ShardIndex.over(self.shard, cut(whole.layout, self.first, self.last))
        for row, (key, members) in enumerate(part, start=self.first):
            yield _item(StoredSample(key, members, name=whole.name(row)), row, self.shard, wanted)


def shard_parts(paths: Iterable[str], *, rows: int | None) -> Iterator[ShardPart]:
    """All shards behind some paths, in parts of at most ``rows``.

    By default the parts of a shard depend on nothing but the shard: what is stored of it stays good
    when others come.

    Raises:
        ShardError: there are none, or one cannot be read.
    """
    for shard in find_shards(paths):
        index = ShardIndex.open(shard)
        for first, last in part_ranges(len(index), rows, parts=_PARTS):
            yield ShardPart(shard=shard, first=first, last=last, content=content_of(index))


def content_of(index: ShardIndex) -> str:
    """What tells shards of other samples apart."""
    return index.layout.content or index.layout.mark


def _item(sample: StoredSample, row: int, shard: Path, wanted: Wanted) -> Item:
    problem, picture, caption = "", None, None
    if wanted.pictures:
        try:
            picture = sample.image.data
        except BadSampleError as error:
            problem = error.kind
    try:
        caption = sample.captions.texts[0]
    except BadSampleError as error:
        problem = problem or (error.kind if wanted.captions else "")
    path = f"{shard.name}/{printable(sample.key)}"
    return Item(row, _uid(sample), path, caption, picture, problem)


def _uid(sample: StoredSample) -> str:
    try:
        return sample.uid
    except BadSampleError:  # broken json: the name that it has without one
        return StoredSample(sample.key, {}, name=sample._name).uid
