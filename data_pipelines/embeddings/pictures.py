"""Encoded pictures of stored embeddings, found again where they came from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_pipelines.bounded_files import media_bytes
from data_pipelines.embeddings.table_items import opened_table, picture_of, rows_between
from data_pipelines.errors import DataError
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.stored_sample import StoredSample


def picture_at(source: Mapping[str, Any], row: int, path: str) -> bytes | None:
    """The picture of a stored row; None where it is gone, or was a text.

    Args:
        source: of its part (``Embeddings.source``).
        row: its number in there.
        path: its path, as stored.
    """
    try:
        return _READERS[source["kind"]](source, row, path)
    except (DataError, OSError, IndexError, KeyError):
        return None


def _of_shard(source: Mapping[str, Any], row: int, path: str) -> bytes | None:
    index = ShardIndex.open(Path(source["path"]))
    return StoredSample(index.key(row), index.read(row)).image.data


def _of_file(source: Mapping[str, Any], row: int, path: str) -> bytes | None:
    return media_bytes(Path(source["root"], path)) if path else None


def _of_table(source: Mapping[str, Any], row: int, path: str) -> bytes | None:
    with opened_table(Path(source["path"])) as file:
        for _, cells in rows_between(file, [source["column"]], row, row + 1):
            return picture_of(cells[source["column"]])[0]
    return None


def _of_text(source: Mapping[str, Any], row: int, path: str) -> bytes | None:
    return None


_READERS = {"shard": _of_shard, "files": _of_file, "parquet": _of_table, "texts": _of_text}
