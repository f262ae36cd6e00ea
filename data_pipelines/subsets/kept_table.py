"""The table of samples that a curation keeps: columns uid, shard (file name) and row."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.errors import DataError
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.shard_set import Shard, name_of
from data_pipelines.subsets.choosing import Choosing
from data_pipelines.subsets.subset import ShardIdentity, SubsetShard
from data_pipelines.subsets.uid_column import uid_column

_COLUMNS = ("uid", "shard", "row")
_ROWS = 1 << 16  # of a batch
_LOOKED_AT = 4  # uids of each shard that are held against the table's


def parts_of_table(
    table: Path, shards: Sequence[Shard], identities: Sequence[ShardIdentity]
) -> list[SubsetShard]:
    """What a table keeps of each shard; a row that stands in it twice is taken twice.

    Some uids of each shard are held against the shard itself.

    Args:
        shards: all shards of the pool.
        identities: of each.
    Raises:
        DataError: it cannot be read, names shards that are not there, or was made for others.
    """
    from pyarrow import ArrowException, parquet

    numbers = _numbers(identities)
    choosing = Choosing(identities)
    looked_at = _Looked(table, shards)
    try:
        with parquet.ParquetFile(table, read_dictionary=["shard"]) as file:
            missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
            if missing:
                raise DataError(
                    f"{table} has no column '{missing[0]}'; it needs uid, shard (file name) and "
                    "row, as 'vlsuite curate' writes kept.parquet"
                )
            for batch in file.iter_batches(_ROWS, columns=list(_COLUMNS)):
                owners, rows = _numbered(batch, numbers, table)
                choosing.take(owners, rows)
                looked_at.take(owners, rows, batch["uid"])
    except FileNotFoundError as error:
        raise DataError(
            f"{table} does not exist; check the path, or make it with 'vlsuite curate run'"
        ) from error
    except (ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"cannot read {table} as Parquet: {error}") from error
    looked_at.check()
    return choosing.parts()


def _numbers(identities: Sequence[ShardIdentity]) -> dict[str, int]:
    numbers: dict[str, int] = {}
    for number, shard in enumerate(identities):
        if numbers.setdefault(shard.name, number) != number:
            raise DataError(
                f"two shards are called {shard.name}, and a table of kept samples names shards by "
                "file; make a subset for each folder"
            )
    return numbers


def _numbered(batch: Any, numbers: dict[str, int], table: Path) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the shards, and rows, of a batch of the table."""
    if any(batch[name].null_count for name in _COLUMNS):
        raise DataError(f"{table} has rows without uid, shard or row; write it again")
    column = batch["shard"]
    if not hasattr(column, "dictionary"):
        column = column.dictionary_encode()
    names = column.dictionary.to_pylist()
    unknown = next((name for name in names if name not in numbers), None)
    if unknown is not None:
        raise DataError(
            f"{table} keeps samples of {str(unknown)[:80]}, which is not among the "
            f"{len(numbers):,} shards given; name all shards it was made for"
        )
    places = np.array([numbers[name] for name in names], dtype=np.int64)
    owners = places[column.indices.to_numpy(zero_copy_only=False)]
    return owners, batch["row"].to_numpy(zero_copy_only=False).astype(np.int64)


class _Looked:
    """Some samples of each shard whose uids are held against the shard."""

    def __init__(self, table: Path, shards: Sequence[Shard]) -> None:
        self._table, self._shards = table, shards
        self._found: dict[int, dict[int, str]] = {}

    def take(self, owners: np.ndarray, rows: np.ndarray, uids: Any) -> None:
        """Note the first samples of each shard in a batch."""
        for shard in np.unique(owners).tolist():
            known = self._found.setdefault(shard, {})
            if len(known) == _LOOKED_AT:
                continue
            for place in np.flatnonzero(owners == shard)[: _LOOKED_AT - len(known)].tolist():
                known[int(rows[place])] = str(uids[place].as_py())

    def check(self) -> None:
        """Raises ``DataError`` where a uid is another."""
        for shard, known in self._found.items():
            column = uid_column(ShardIndex.open(self._shards[shard]))
            for row, uid in known.items():
                if column.uid(row) != uid:
                    raise DataError(
                        f"{self._table} was made for other shards: row {row} of "
                        f"{name_of(self._shards[shard])} is {column.uid(row)}, not {uid}; scan "
                        "them again"
                    )
