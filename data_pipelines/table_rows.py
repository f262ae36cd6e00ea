"""Some columns of a table of any kind (CSV, TSV, JSON lines, Parquet), row by row, nothing lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, cast

from data_pipelines.bounded_json import parsed_json
from data_pipelines.errors import DataError
from data_pipelines.separated_values import Quoting, SeparatedRows
from data_pipelines.skips import Skips


class _Kind(NamedTuple):
    """What the suffix of a text table says."""

    delimiter: str
    quoting: Quoting


_KINDS = {".csv": _Kind(",", "rfc4180"), ".tsv": _Kind("\t", "none")}
_PARQUET, _JSON_LINES = ".parquet", ".jsonl"
#: What the suffix of a table may be.
TABLE_SUFFIXES = (*_KINDS, _JSON_LINES, _PARQUET)

#: Of a Parquet file at once: one long cell may stand in every row at no cost to the file. Where
#: cells are pictures, fewer.
_ROWS, _ROWS_OF_PICTURES = 512, 32
_MOST_LINE = 1 << 20  # bytes of a line of JSON


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
        also: names that are usual for it; where the table lacks ``name`` and has exactly one of
            these, that one is read.
    """

    name: str
    flag: str
    is_text: bool = False
    may_be_missing: bool = False
    also: tuple[str, ...] = ()

    def in_table(self, names: Sequence[str]) -> str:
        """What the column is called there; its own name where it is not there."""
        if self.name in names:
            return self.name
        found = [name for name in self.also if name in names]
        return found[0] if len(found) == 1 else self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumns:
    """What is read of a table.

    Args:
        table: its suffix (``TABLE_SUFFIXES``) tells the kind.
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
        if suffix not in TABLE_SUFFIXES:
            raise DataError(
                f"{self.table}: the suffix '{suffix}' is none of "
                f"{', '.join(TABLE_SUFFIXES)}; rename or convert the table"
            )
        if not self.table.is_file():
            raise DataError(f"table {self.table} does not exist; check the path")
        if suffix == _JSON_LINES:
            return self._json_lines(skips)
        return self._parquet(skips) if suffix == _PARQUET else self._separated(skips)

    def _json_lines(self, skips: Skips) -> Iterator[TableRow]:
        """One object a line; what the first one lacks, the table lacks."""
        table, wanted = self.table, None
        try:
            with table.open("rb") as lines:
                for number in count(1):
                    line = lines.readline(_MOST_LINE)
                    if not line:
                        break
                    skips.read(f"rows of {table.name}")
                    where = f"{table.name} line {number}"
                    try:
                        row = parsed_json(line.decode("utf-8"))
                    except ValueError as error:
                        skips.add("broken row", f"{where}: {error}")
                        continue
                    if not isinstance(row, dict):
                        skips.add("broken row", f"{where}: no object")
                        continue
                    if wanted is None:
                        self._places(list(row))
                        wanted = [column.in_table(list(row)) for column in self.wanted]
                    yield TableRow(number, tuple(row.get(name) for name in wanted))
        except OSError as error:
            raise DataError(f"cannot read {table}: {error.strerror or error}") from error
        if wanted is None:
            self._places([])

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
            there = [schema.names[place] for place in places if place is not None]
            called = [column.in_table(schema.names) for column in self.wanted]
            has_pictures = any(_may_be_picture(schema.field(name).type) for name in there)
            # one long cell of a thousand rows stays one text
            repeated = [name for name in there if pa.types.is_string(schema.field(name).type)]
            with parquet.ParquetFile(table, read_dictionary=repeated) as file:
                number = 0
                size = _ROWS_OF_PICTURES if has_pictures else _ROWS
                for batch in file.iter_batches(size, columns=there):
                    own = {name: _values(batch[name]) for name in there}
                    nothing = [None] * batch.num_rows
                    columns = [own.get(name, nothing) for name in called]
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
        called = [column.in_table(names) for column in self.wanted]
        for column, name in zip(self.wanted, called, strict=True):
            if names.count(name) > 1:
                raise DataError(
                    f"{self.table} has several columns '{name}' ({found}); rename all but one"
                )
            if name not in names and not column.may_be_missing:
                raise DataError(
                    f"{self.table} has no column '{column.name}'; columns: {found or '(none)'}; "
                    f"choose by {column.flag}, or name them by --columns where the first line is "
                    "data"
                )
        return tuple(names.index(name) if name in names else None for name in called)


def _values(column: Any) -> list[Any]:
    """Cells of a column of Parquet; equal ones are one object where they are stored once."""
    if not hasattr(column, "dictionary"):
        return column.to_pylist()
    values = column.dictionary.to_pylist()
    return [None if place is None else values[place] for place in column.indices.to_pylist()]


def _may_be_picture(kind: Any) -> bool:
    """Whether cells of an Arrow type can be encoded pictures: bytes, alone or with their path."""
    import pyarrow as pa

    return pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


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
