"""Some columns of a table of any kind (CSV, TSV, Parquet), row by row, nothing lost."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

from data_pipelines.errors import DataError
from data_pipelines.separated_values import Quoting, SeparatedRows
from data_pipelines.skips import Skips


class _Kind(NamedTuple):
    """What the suffix of a text table says."""

    delimiter: str
    quoting: Quoting


_KINDS = {".csv": _Kind(",", "rfc4180"), ".tsv": _Kind("\t", "none")}
_PARQUET = ".parquet"

#: Of a Parquet file at once: one long cell may stand in every row at no cost to the file.
_ROWS = 512


class TableRow(NamedTuple):
    """A row: the number of its (first) line from 1, and the cells of the wanted columns.

    A cell is None where the table lacks the column, or Parquet holds nothing.
    """

    number: int
    cells: tuple[Any, ...]


class WantedColumn(NamedTuple):
    """A column by its name in the table, and the option that names another.

    Attributes:
        is_text: whether quotation marks around a cell are told of.
        may_be_missing: the cells are None then.
    """

    name: str
    flag: str
    is_text: bool = False
    may_be_missing: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumns:
    """What is read of a table.

    Args:
        table: its suffix .csv, .tsv or .parquet tells the kind.
        wanted: columns, in the order of the cells.
        quoting: rfc4180, none, or auto (by the suffix); of text tables.
        names: of all columns, where the first line is data; of text tables.
    """

    table: Path
    wanted: tuple[WantedColumn, ...]
    quoting: str = "auto"
    names: tuple[str, ...] = ()

    def rows(self, skips: Skips) -> Iterator[TableRow]:
        """Every row that can be read; broken ones go to ``skips``.

        Raises:
            DataError: there is no such table, it is of another kind, or lacks a column.
        """
        suffix = self.table.suffix.lower()
        if suffix not in (*_KINDS, _PARQUET):
            raise DataError(
                f"{self.table}: the suffix '{suffix}' is none of "
                f"{', '.join((*_KINDS, _PARQUET))}; rename or convert the table"
            )
        if not self.table.is_file():
            raise DataError(f"table {self.table} does not exist; check --table")
        return self._parquet(skips) if suffix == _PARQUET else self._separated(skips)

    def _separated(self, skips: Skips) -> Iterator[TableRow]:
        table = self.table
        kind = _KINDS[table.suffix.lower()]
        quoting = kind.quoting if self.quoting == "auto" else cast(Quoting, self.quoting)
        rows = SeparatedRows(table, delimiter=kind.delimiter, quoting=quoting)
        names: list[str] | None = list(self.names) or None
        places = () if names is None else self._places(names)
        for row in rows:
            if names is None:
                names = [name.strip() for name in row.cells]
                places = self._places(names)
                continue
            skips.read(f"rows of {table.name}")
            where = f"{table.name} line {row.line}"
            if row.problem:
                advice = "" if quoting == "none" else " (--quoting none takes quotes as they stand)"
                skips.add("broken row", f"{where}: {row.problem}{advice}")
            elif len(row.cells) != len(names):
                detail = f"{len(row.cells)} cells, the header has {len(names)}"
                skips.add("wrong number of cells", f"{where}: {detail}")
            else:
                cells = tuple(None if place is None else row.cells[place] for place in places)
                if quoting == "none" and any(map(_looks_quoted, self.wanted, cells)):
                    skips.read("captions that look quoted (--quoting rfc4180 takes the marks away)")
                yield TableRow(row.line, cells)
        if names is None:
            self._places([])
        skips.read(f"lines of {table.name}", rows.num_lines)

    def _parquet(self, skips: Skips) -> Iterator[TableRow]:
        import pyarrow as pa
        from pyarrow import parquet

        table = self.table
        try:
            with parquet.ParquetFile(table) as file:
                schema = file.schema_arrow
                places = self._places(schema.names)
            there = [w.name for w, p in zip(self.wanted, places, strict=True) if p is not None]
            # one long cell of a thousand rows stays one text
            repeated = [name for name in there if pa.types.is_string(schema.field(name).type)]
            with parquet.ParquetFile(table, read_dictionary=repeated) as file:
                number = 0
                for batch in file.iter_batches(_ROWS, columns=there):
                    own = {name: _values(batch[name]) for name in there}
                    nothing = [None] * batch.num_rows
                    columns = [own.get(one.name, nothing) for one in self.wanted]
                    for cells in zip(*columns, strict=True):
                        number += 1
                        skips.read(f"rows of {table.name}")
                        yield TableRow(number, cells)
                if number != file.metadata.num_rows:
                    raise DataError(
                        f"{table} says {file.metadata.num_rows:,} rows and holds {number:,}; "
                        "write it again"
                    )
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise DataError(f"cannot read {table} as Parquet: {error}") from error

    def _places(self, names: list[str]) -> tuple[int | None, ...]:
        """Positions of the columns; None for one that may be missing.

        Raises:
            DataError: one is missing or there twice; the message lists the columns found.
        """
        found = ", ".join(name if len(name) <= 60 else f"{name[:60]}..." for name in names[:20])
        for column in self.wanted:
            if names.count(column.name) > 1:
                raise DataError(
                    f"{self.table} has several columns '{column.name}' ({found}); rename all but "
                    "one"
                )
            if column.name not in names and not column.may_be_missing:
                raise DataError(
                    f"{self.table} has no column '{column.name}'; columns: {found or '(none)'}; "
                    f"choose by {column.flag}, or name them by --columns where the first line is "
                    "data"
                )
        return tuple(names.index(one.name) if one.name in names else None for one in self.wanted)


def _values(column: Any) -> list[Any]:
    """Cells of a column of Parquet; equal ones are one object where they are stored once."""
    if not hasattr(column, "dictionary"):
        return column.to_pylist()
    values = column.dictionary.to_pylist()
    return [None if place is None else values[place] for place in column.indices.to_pylist()]


def _looks_quoted(column: WantedColumn, cell: object) -> bool:
    if not column.is_text or not isinstance(cell, str) or len(cell) < 2:
        return False
    return cell[0] == cell[-1] == '"'


def texts_of(cell: object) -> list[str]:
    """The texts in a cell: its own, or those of a list; stripped, blank ones stay."""
    cells = cell if isinstance(cell, list) else [cell]
    return [text.strip() for text in cells if isinstance(text, str)]


def is_text(text: str) -> bool:
    """Whether it was UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
