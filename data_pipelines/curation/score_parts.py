"""A column of scores beside a table: one number for every row, a file for every shard."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32

from data_pipelines.curation.parts import PartWriter, write_part
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import make_folder

#: Raised when the meaning of a part changes; older parts are then made anew.
SCORE_VERSION = 2

_COLUMNS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("score", pa.float32(), nullable=False),
    ]
)


def write_score_part(
    path: Path, scores: Float32[np.ndarray, " rows"], note: Mapping[str, JsonValue]
) -> PartWriter:
    """Write the scores of all rows of a shard.

    Args:
        scores: NaN where a sample has none.
        note: what they depend on; its ``content`` names the shard's.
    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    make_folder(path.parent)
    rows = np.arange(len(scores), dtype=np.int64)
    batch = pa.RecordBatch.from_arrays([pa.array(rows), pa.array(scores)], schema=_COLUMNS)
    full = {"format_version": SCORE_VERSION, **note}
    return write_part(path, _COLUMNS, [batch], full, has_statistics=False)
