"""Pictures whose bytes stand in a Parquet table, as the hub and img2dataset write them."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from data_pipelines.embeddings.item import Item, Wanted, part_ranges
from data_pipelines.embeddings.listed_items import TABLE
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue, make_uid
from data_pipelines.shards.stored_sample import printable

_ROWS = 128  # read at once: each is a whole picture
_MOST_UID = 256
_PARTS = 4  # of a table, of which there are usually many


@dataclass(frozen=True, kw_only=True, slots=True)
class BytesPart:
    """Rows ``first`` to ``last`` (exclusive) of a Parquet file.

    Attributes:
        image_column: bytes, or the struct of bytes and path that the ``datasets`` library writes.
        caption_column: None where the table has none.
        stamp: size and time of the file.
    """

    table: Path
    image_column: str
    caption_column: str | None
    first: int
    last: int
    stamp: tuple[int, int]

    @property
    def num_rows(self) -> int:
        """See ``Part``."""
        return self.last - self.first

    @property
    def content(self) -> str:
        """See ``Part``."""
        told = (self.table.name, self.image_column, self.caption_column, *self.stamp)
        return hashlib.sha256(repr((*told, self.first, self.last)).encode()).hexdigest()

    @property
    def source(self) -> dict[str, JsonValue]:
        """See ``Part``."""
        return {
            "kind": "parquet",
            "path": str(self.table.absolute()),
            "column": self.image_column,
            "first": self.first,
            "last": self.last,
        }

    def items(self, wanted: Wanted) -> Iterator[Item]:
        """See ``Part``."""
        names = [self.image_column, *filter(None, [self.caption_column])]
        with opened_table(self.table) as file:
            names += [name for name in ("uid",) if name in file.schema_arrow.names]
            for row, cells in rows_between(file, names, self.first, self.last):
                yield self._item(row, cells, wanted)

    def _item(self, row: int, cells: dict[str, Any], wanted: Wanted) -> Item:
        data, path = picture_of(cells[self.image_column])
        caption = _text(cells.get(self.caption_column or ""))
        picture = data if wanted.pictures else None
        uid = cells.get("uid")
        if not isinstance(uid, str) or not 0 < len(uid) <= _MOST_UID or not uid.isprintable():
            uid = make_uid(TABLE, path or str(row), data or b"")
        place = printable(path) if path else f"{self.table.name}/{row}"
        return Item(row, uid, place, caption, picture, wanted.lack(picture, caption))


def bytes_parts(
    table: Path, *, image_column: str, caption_column: str | None, rows: int | None
) -> Iterator[BytesPart]:
    """A table in parts of at most ``rows``.

    Raises:
        DataError: it cannot be read.
    """
    with opened_table(table) as file:
        count = file.metadata.num_rows
    found = table.stat()
    for first, last in part_ranges(count, rows, parts=_PARTS):
        yield BytesPart(
            table=table,
            image_column=image_column,
            caption_column=caption_column,
            first=first,
            last=last,
            stamp=(found.st_size, found.st_mtime_ns),
        )


def opened_table(path: Path) -> parquet.ParquetFile:
    """A Parquet file to read from.

    Raises:
        DataError: it is missing, or no Parquet.
    """
    try:
        return parquet.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        told = " ".join(str(error).split())[:200]
        raise DataError(f"cannot read {path} as Parquet: {told}") from error


def rows_between(
    file: parquet.ParquetFile, names: list[str], first: int, last: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Some columns of rows ``first`` to ``last`` (exclusive), with their numbers.

    Only the row groups that hold them are read, a few rows at a time.

    Raises:
        DataError: the file is damaged.
    """
    begin = 0
    try:
        for group in range(file.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            if end > first and begin < last:
                row = begin
                for batch in file.iter_batches(_ROWS, row_groups=[group], columns=names):
                    low, high = max(first - row, 0), min(last - row, batch.num_rows)
                    if low < high:
                        for own in batch.slice(low, high - low).to_pylist():
                            yield row + low, own
                            low += 1
                    row += batch.num_rows
            begin = end
    except (pa.ArrowException, OSError, ValueError) as error:
        told = " ".join(str(error).split())[:200]
        raise DataError(f"a damaged Parquet file: {told}; make it again") from error


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether a column of this type may hold encoded pictures."""
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and holds_bytes(field.type) for field in kind)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def picture_of(cell: Any) -> tuple[bytes | None, str]:
    """Bytes and path of a cell; None and "" where it has none."""
    if isinstance(cell, dict):
        path = cell.get("path")
        data = cell.get("bytes")
        return data if isinstance(data, bytes) else None, path if isinstance(path, str) else ""
    return (cell, "") if isinstance(cell, bytes) else (None, "")


def _text(cell: Any) -> str | None:
    """A caption: a text, or the first of a list."""
    listed = cell if isinstance(cell, list) else [cell]
    texts = (text.strip() for text in listed if isinstance(text, str))
    return next((text for text in texts if text), None)
