"""Which shards of one set are shards of another: the same files, or copies of them."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from data_pipelines.errors import ShardError
from data_pipelines.shards.index import ShardIndex


def shards_among(shards: Iterable[Path], others: Iterable[Path]) -> list[Path]:
    """Those of ``shards`` that are among ``others``, under whatever name and in any folder.

    A copy is told by its size and the mark of its content (``ShardIndex.layout.mark``); only
    shards of equal size are opened. What cannot be read is no copy.

    Args:
        shards: to look for.
        others: to look among.
    """
    places: set[Path] = set()
    by_size: dict[int, list[Path]] = defaultdict(list)
    for other in others:
        places.add(other.resolve())
        if (size := _size(other)) is not None:
            by_size[size].append(other)
    return [
        shard
        for shard in shards
        if shard.resolve() in places or _is_copy(shard, by_size.get(_size(shard) or 0, []))
    ]


def _is_copy(shard: Path, candidates: list[Path]) -> bool:
    mark = _mark(shard) if candidates else None
    return mark is not None and any(_mark(other) == mark for other in candidates)


def _mark(shard: Path) -> str | None:
    try:
        return ShardIndex.open(shard).layout.mark
    except ShardError:
        return None


def _size(shard: Path) -> int | None:
    try:
        return shard.stat().st_size
    except OSError:
        return None
