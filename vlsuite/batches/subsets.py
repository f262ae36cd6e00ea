"""The subsets that a run's settings name, laid over the shards that were found."""

from collections.abc import Sequence
from pathlib import Path

from data_pipelines.subsets.matching import parts_for
from data_pipelines.subsets.subset import ShardIdentity, SubsetShard
from data_pipelines.subsets.subset_file import read_subset

#: In data.subset: this source is taken whole.
WHOLE = "all"


def chosen_of(
    files: Sequence[str], by_source: Sequence[Sequence[ShardIdentity]]
) -> list[SubsetShard | None]:
    """What is chosen of each shard of all sources, in their order; None: all of it.

    Args:
        files: ``data.subset``.
        by_source: shards of each source.
    Raises:
        DataError: a file cannot be read, or was made for other shards.
    """
    every = [shard for shards in by_source for shard in shards]
    if not files:
        return [None] * len(every)
    groups = by_source if len(files) == len(by_source) else [every]
    chosen: list[SubsetShard | None] = []
    for file, shards in zip(files, groups, strict=True):
        if file == WHOLE:
            chosen += [None] * len(shards)
        else:
            chosen += parts_for(read_subset(Path(file)), shards, name=file)
    return chosen
