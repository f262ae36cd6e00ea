"""Encoded pictures and sounds as they lie in files or in Parquet tables."""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipelines.bounded_files import media_bytes
from data_pipelines.errors import DataError

#: Row groups of one table column that stay in memory; questions are asked in stored order.
_KEPT_GROUPS = 2


@dataclass(frozen=True, slots=True)
class FileMedia:
    """A picture or sound in a file of its own."""

    path: Path

    @property
    def name(self) -> str:
        """File name, for messages."""
        return self.path.name

    def read(self) -> bytes:
        """See ``Media``.

        Raises:
            DataError: the file cannot be read.
        """
        try:
            return media_bytes(self.path)
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror or error}") from error


class TableMedia:
    """Reads single cells of one Parquet file, keeping the row groups it has just used.

    Memory is that of ``_KEPT_GROUPS`` row groups of one column. Safe for use by several threads.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._groups: OrderedDict[tuple[int, str], Any] = OrderedDict()
        self._lock = threading.Lock()

    def cell(self, *, group: int, row: int, column: str) -> bytes:
        """The field ``bytes`` of a struct column; ``row`` counts within the row group.

        Raises:
            DataError: the file cannot be read, or the cell is empty.
        """
        with self._lock:
            cells = self._groups.get((group, column))
            if cells is None:
                cells = self._load(group, column)
            self._groups[group, column] = cells
            self._groups.move_to_end((group, column))
            while len(self._groups) > _KEPT_GROUPS:
                self._groups.popitem(last=False)
        data = cells[row].as_py()
        if not data:
            raise DataError(f"{self._path}: column '{column}' holds no bytes in row {row}")
        return data

    def _load(self, group: int, column: str) -> Any:
        import pyarrow
        from pyarrow import parquet

        try:
            table = parquet.ParquetFile(self._path).read_row_group(
                group, columns=[f"{column}.bytes"]
            )
        except (OSError, pyarrow.ArrowException) as error:
            raise DataError(f"cannot read {self._path}: {str(error).splitlines()[0]}") from error
        return table.column(0).combine_chunks().field("bytes")


@dataclass(frozen=True, slots=True)
class CellMedia:
    """A picture or sound in a cell of a Parquet table."""

    name: str
    table: TableMedia
    group: int
    row: int
    column: str

    def read(self) -> bytes:
        """See ``Media``.

        Raises:
            DataError: the table cannot be read.
        """
        return self.table.cell(group=self.group, row=self.row, column=self.column)
