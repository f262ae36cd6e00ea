"""Parquet files that appear whole or not at all, each with a note of what it was made from.

The note is JSON in the file's own metadata, under ``vlsuite``. Equal rows and notes give equal
bytes, however many processes wrote.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from data_pipelines.bounded_json import parsed_json
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import NewFile, replacing

_NOTE = b"vlsuite"

_GROUP_ROWS = 1 << 16  # of a row group, at most


class PartWriter:
    """A Parquet file being written; see ``writing_part``."""

    def __init__(self, writer: parquet.ParquetWriter, file: NewFile) -> None:
        self._writer = writer
        self._file = file
        self._note: Mapping[str, JsonValue] = {}
        self.num_rows = 0

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Append rows, as row groups of their own."""
        self._writer.write(rows, row_group_size=_GROUP_ROWS)
        self.num_rows += rows.num_rows

    def note(self, note: Mapping[str, JsonValue]) -> None:
        """Store a note with the file."""
        self._note = note

    @property
    def sha256(self) -> str:
        """Of all bytes, in hexadecimal; complete after the block."""
        return self._file.sha256

    @property
    def size(self) -> int:
        """In bytes; complete after the block."""
        return self._file.size

    def _finish(self) -> None:
        text = json.dumps(self._note, sort_keys=True, ensure_ascii=True)
        self._writer.add_key_value_metadata({_NOTE: text.encode()})
        self._writer.close()


@contextmanager
def writing_part(
    path: Path, schema: pa.Schema, *, has_statistics: bool = True
) -> Iterator[PartWriter]:
    """Write a Parquet file (zstd) that takes its name when the block ends without error.

    Args:
        has_statistics: with least and largest values of columns. Those of floats leave NaN out,
            and DuckDB 2.0 concludes from them that there is none: ``isnan`` is then false.
    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    with replacing(path) as file:
        sink = pa.PythonFile(_Sink(file), mode="w")
        writer = parquet.ParquetWriter(
            sink, schema, compression="zstd", write_statistics=has_statistics
        )
        part = PartWriter(writer, file)
        yield part
        part._finish()


def write_part(
    path: Path,
    schema: pa.Schema,
    rows: Iterable[pa.RecordBatch],
    note: Mapping[str, JsonValue],
    *,
    has_statistics: bool = True,
) -> PartWriter:
    """Write all rows with their note.

    Args:
        has_statistics: see ``writing_part``.
    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    with writing_part(path, schema, has_statistics=has_statistics) as part:
        part.note(note)
        for batch in rows:
            part.write(batch)
    return part


def note_of(path: Path) -> dict[str, Any] | None:
    """The note of a Parquet file; None where there is no such file, or not one of ours."""
    try:
        metadata = parquet.read_metadata(path).metadata or {}
        note = parsed_json(metadata[_NOTE].decode())
    except (OSError, pa.ArrowException, KeyError, ValueError):
        return None
    return note if isinstance(note, dict) else None


def opened_part(path: Path) -> parquet.ParquetFile:
    """A Parquet file to read from.

    Raises:
        DataError: it is missing, or no Parquet file.
    """
    try:
        return parquet.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        told = " ".join(str(error).split())[:200]
        raise DataError(f"cannot read {path}: {told}; make it again") from error


class _Sink:
    """What pyarrow takes for an open file."""

    closed = False

    def __init__(self, file: NewFile) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        return self._file.write(bytes(data))

    def tell(self) -> int:
        return self._file.size

    def flush(self) -> None:
        """``replacing`` does it at the end."""

    def close(self) -> None:
        """``replacing`` does it at the end."""
        self.closed = True
