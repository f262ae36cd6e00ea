"""A subset written as DataComp's file of uids, for its tools and for others."""

import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.errors import DataError
from data_pipelines.shards.atomic import replacing
from data_pipelines.shards.index import ShardIndex
from data_pipelines.subsets.id_buckets import IdBuckets
from data_pipelines.subsets.matching import parts_for
from data_pipelines.subsets.pool import Pool
from data_pipelines.subsets.subset import Subset
from data_pipelines.subsets.uid_column import uid_column
from data_pipelines.subsets.uid_list import DTYPE

Progress = Callable[[Iterable[Any]], Iterable[Any]]


def write_uids(
    pool: Pool, subset: Subset, path: Path, *, name: str = "", progress: Progress = iter
) -> int:
    """Write the uids of a subset, sorted, as .npy of dtype ``u8,u8``; returns their number.

    A row that is taken several times gives its uid as often. Memory does not grow with the subset.

    Args:
        name: of the subset's file, for messages.
        progress: is given the shards as they are looked through.
    Raises:
        DataError: the subset was made for other shards, a uid has not 128 bits, or the disk
            refuses.
    """
    parts = parts_for(subset, pool.identities, name=name or str(path))
    work = list(zip(pool.shards, parts, strict=True))
    with IdBuckets(subset.num_taken, folder=Path(tempfile.gettempdir())) as buckets:
        for shard, part in progress(work):
            counts = part.counts
            if not counts.any():
                continue
            column = uid_column(ShardIndex.open(shard))
            other = np.flatnonzero((counts > 0) & ~column.is_id)
            if len(other):
                raise DataError(
                    f"sample {int(other[0])} of {part.shard.name} has the uid "
                    f"{column.uid(int(other[0]))[:80]}, and DataComp's files hold 32 hexadecimal "
                    "digits; 'vlsuite data build shards' gives samples such ids"
                )
            buckets.add(np.repeat(column.ids, counts, axis=0))
        with replacing(path) as file:
            header = {"descr": DTYPE.descr, "fortran_order": False, "shape": (subset.num_taken,)}
            np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]
            for entries in buckets.sorted():
                file.write(entries.tobytes())
    return subset.num_taken
