"""A table of image paths and captions: CSV, TSV or Parquet."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, cast

from data_pipelines.errors import DataError
from data_pipelines.images import load_image
from data_pipelines.options import option
from data_pipelines.schema import Sample, make_uid
from data_pipelines.separated_values import Quoting, SeparatedRows
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, sources


class _Kind(NamedTuple):
    """What the suffix of a text table says."""

    delimiter: str
    quoting: Quoting


_KINDS = {".csv": _Kind(",", "rfc4180"), ".tsv": _Kind("\t", "none")}


class _Row(NamedTuple):
    """A row: the number of its (first) line from 1, image path and caption as they stand."""

    number: int
    path: Any
    caption: Any


#: Of a Parquet file at once: one long cell may stand in every row at no cost to the file.
_ROWS = 512


@sources.register("table")
@dataclass(frozen=True, kw_only=True)
class CaptionTable(Source):
    """Settings of the table."""

    HELP: ClassVar[str] = "CSV, TSV or Parquet with a column of image paths and one of captions"
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build table --table pairs.csv --image-column file --caption-column text "
        "--out data/pairs"
    )

    table: Path = option("the table; its suffix .csv, .tsv or .parquet tells the format")
    image_column: str = option("column of the image paths", default="path")
    caption_column: str = option(
        "column of the captions (text, or lists in Parquet)", default="caption"
    )
    quoting: str = option(
        "whether cells may be quoted: rfc4180, none, or auto (rfc4180 for .csv; none for .tsv, as "
        "CC3M, LAION and WIT have them)",
        default="auto",
        choices=("auto", "rfc4180", "none"),
    )
    columns: tuple[str, ...] = option(
        "names of all columns, separated by commas, of a CSV or TSV whose first line is data",
        default=(),
    )
    root: Path | None = option(
        "folder that relative paths start from (default: the folder of the table)", default=None
    )

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """One sample an image, in the order of first appearance; its rows add captions."""
        root = self.root or self.table.parent
        for path, captions in self._captions(skips).items():
            image = load_image(root / path, skips)
            if image is None:
                continue
            yield Sample(
                uid=make_uid("table", path, image.data),
                image=image.data,
                image_suffix=image.suffix,
                captions=tuple(captions),
                provenance={"source": "table", "key": path},
            )

    def _captions(self, skips: Skips) -> dict[str, dict[str, None]]:
        """Captions of each path, without repetitions, in table order."""
        suffix = self.table.suffix.lower()
        if suffix not in _READERS:
            raise DataError(
                f"{self.table}: the suffix '{suffix}' is none of {', '.join(_READERS)}; rename or "
                "convert the table"
            )
        if not self.table.is_file():
            raise DataError(f"table {self.table} does not exist; check --table")
        captions: dict[str, dict[str, None]] = {}
        rows, skipped, used = f"rows of {self.table.name}", skips.total, 0
        for row in _READERS[suffix](self, self.table, skips):
            where = f"{self.table.name} row {row.number}"
            path = row.path.strip() if isinstance(row.path, str) else ""
            if not path:
                skips.add("no image path", where)
                continue
            texts = [text for text in _texts(row.caption) if text]
            if not texts:
                skips.add("empty caption", where)
            elif not all(_is_text(text) for text in (path, *texts)):
                skips.add("text not UTF-8", where)
            else:
                used += 1
                captions.setdefault(path, {}).update(dict.fromkeys(texts))
        assert skips.inputs.get(rows, 0) == used + skips.total - skipped
        skips.read("pictures named", len(captions))
        return captions


def _read_separated(source: "CaptionTable", table: Path, skips: Skips) -> Iterator[_Row]:
    kind = _KINDS[table.suffix.lower()]
    quoting = kind.quoting if source.quoting == "auto" else cast(Quoting, source.quoting)
    rows = SeparatedRows(table, delimiter=kind.delimiter, quoting=quoting)
    names: list[str] | None = list(source.columns) or None
    places = (0, 0)
    if names is not None:
        places = _columns(table, names, source)
    for row in rows:
        if names is None:
            names = [name.strip() for name in row.cells]
            places = _columns(table, names, source)
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
            caption = row.cells[places[1]]
            if quoting == "none" and len(caption) > 1 and caption[0] == caption[-1] == '"':
                skips.read("captions that look quoted (--quoting rfc4180 takes the marks away)")
            yield _Row(row.line, row.cells[places[0]], caption)
    if names is None:
        _columns(table, [], source)
    skips.read(f"lines of {table.name}", rows.num_lines)


def _read_parquet(source: "CaptionTable", table: Path, skips: Skips) -> Iterator[_Row]:
    import pyarrow as pa
    from pyarrow import parquet

    image, caption = source.image_column, source.caption_column
    try:
        with parquet.ParquetFile(table) as file:
            _columns(table, file.schema_arrow.names, source)
            number = 0
            for batch in file.iter_batches(_ROWS, columns=[image, caption]):
                columns = zip(batch[image].to_pylist(), batch[caption].to_pylist(), strict=True)
                for path, text in columns:
                    number += 1
                    skips.read(f"rows of {table.name}")
                    yield _Row(number, path, text)
            if number != file.metadata.num_rows:
                raise DataError(
                    f"{table} says {file.metadata.num_rows:,} rows and holds {number:,}; write "
                    "it again"
                )
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise DataError(f"cannot read {table} as Parquet: {error}") from error


_READERS: dict[str, Callable[["CaptionTable", Path, Skips], Iterator[_Row]]] = {
    ".csv": _read_separated,
    ".tsv": _read_separated,
    ".parquet": _read_parquet,
}


def _columns(table: Path, names: list[str], source: "CaptionTable") -> tuple[int, int]:
    """Positions of the two columns.

    Raises:
        DataError: one is missing or there twice; the message lists the columns found.
    """
    wanted = ((source.image_column, "--image-column"), (source.caption_column, "--caption-column"))
    found = ", ".join(name if len(name) <= 60 else f"{name[:60]}..." for name in names[:20])
    for name, flag in wanted:
        if names.count(name) > 1:
            raise DataError(f"{table} has several columns '{name}' ({found}); rename all but one")
        if name not in names:
            raise DataError(
                f"{table} has no column '{name}'; columns: {found or '(none)'}; choose by {flag}, "
                "or name them by --columns where the first line is data"
            )
    return names.index(source.image_column), names.index(source.caption_column)


def _texts(cell: object) -> list[str]:
    """The captions in a cell: its text, or the texts of a list."""
    cells = cell if isinstance(cell, list) else [cell]
    return [text.strip() for text in cells if isinstance(text, str)]


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
