"""What writing a subset has to know before: bytes, and whether uids repeat, in bounded memory."""

import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines.shards.index import ShardIndex
from data_pipelines.subsets.id_buckets import IdBuckets
from data_pipelines.subsets.pool import Pool
from data_pipelines.subsets.subset import SubsetShard
from data_pipelines.subsets.uid_column import uid_column
from data_pipelines.subsets.uid_list import digests_of

_BLOCK = 512  # bytes; a tar member takes a header block and whole data blocks


class Survey(NamedTuple):
    """Of the samples that are taken.

    Attributes:
        num_bytes: of their members in a tar.
        num_repeated: samples with a uid that another sample has too.
    """

    num_bytes: int
    num_repeated: int


def survey(pool: Pool, parts: list[SubsetShard]) -> Survey:
    """Look at indexes and uids; ids are sorted on the disk, 16 bytes each, for as long.

    Raises:
        ShardError: a shard cannot be read.
        DataError: the temporary folder cannot be written.
    """
    num_bytes = 0
    expected = sum(part.num_kept for part in parts)
    with IdBuckets(expected, folder=Path(tempfile.gettempdir())) as ids:
        for shard, part in zip(pool.shards, parts, strict=True):
            if not (rows := part.rows).size:
                continue
            index = ShardIndex.open(shard)
            num_bytes += int((_sizes(index) * part.counts).sum())
            column = uid_column(index)
            is_id = column.is_id[rows]
            ids.add(column.ids[rows[is_id]])
            ids.add(digests_of(column.uid(row) for row in rows[~is_id].tolist()))
        num_repeated = sum(int((one[1:] == one[:-1]).sum()) for one in ids.sorted())
    return Survey(num_bytes, num_repeated)


def _sizes(index: ShardIndex) -> np.ndarray:
    """Bytes of each sample in a tar."""
    sizes = _BLOCK + -(-index.layout.sizes // _BLOCK) * _BLOCK
    ends = np.concatenate([[0], np.cumsum(sizes)])
    return np.diff(ends[index.layout.starts])
