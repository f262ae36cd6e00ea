"""A table of image paths and captions: CSV, TSV or Parquet."""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from data_pipelines.errors import DataError
from data_pipelines.images import load_image
from data_pipelines.options import option
from data_pipelines.schema import Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, sources

_MAX_CELL = 1 << 24  # characters; a cell beyond this is a broken quote, not a caption


class _Row(NamedTuple):
    """A line of the table: its number from 1, the image path and the caption as they stand."""

    number: int
    path: Any
    caption: Any


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
        for row in _READERS[suffix](self.table, self.image_column, self.caption_column, skips):
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
                captions.setdefault(path, {}).update(dict.fromkeys(texts))
        return captions


def _read_separated(
    table: Path, image_column: str, caption_column: str, skips: Skips, *, delimiter: str
) -> Iterator[_Row]:
    previous_limit = csv.field_size_limit(_MAX_CELL)
    try:
        # Bytes that are no UTF-8 become surrogates, so that one bad row does not end the table.
        with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.reader(stream, delimiter=delimiter)
            header = [name.strip() for name in next(reader, [])]
            image, caption = _columns(table, header, image_column, caption_column)
            yield from _separated_rows(table, reader, (image, caption), len(header), skips)
    except OSError as error:
        raise DataError(f"cannot read {table}: {error.strerror}") from error
    finally:
        csv.field_size_limit(previous_limit)


def _separated_rows(
    table: Path, reader, columns: tuple[int, int], num_columns: int, skips: Skips
) -> Iterator[_Row]:
    number = 0
    while True:
        number += 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            skips.add("broken row", f"{table.name} row {number}: {error}")
            continue
        if not cells:
            continue
        if len(cells) != num_columns:
            detail = f"{len(cells)} cells, the header has {num_columns}"
            skips.add("wrong number of cells", f"{table.name} row {number}: {detail}")
            continue
        yield _Row(number, cells[columns[0]], cells[columns[1]])


def _read_csv(table: Path, image: str, caption: str, skips: Skips) -> Iterator[_Row]:
    return _read_separated(table, image, caption, skips, delimiter=",")


def _read_tsv(table: Path, image: str, caption: str, skips: Skips) -> Iterator[_Row]:
    return _read_separated(table, image, caption, skips, delimiter="\t")


def _read_parquet(table: Path, image: str, caption: str, skips: Skips) -> Iterator[_Row]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(table) as file:
            _columns(table, file.schema_arrow.names, image, caption)
            number = 0
            for batch in file.iter_batches(columns=[image, caption]):
                columns = zip(batch[image].to_pylist(), batch[caption].to_pylist(), strict=True)
                for path, text in columns:
                    number += 1
                    yield _Row(number, path, text)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot read {table} as Parquet: {error}") from error


_READERS: dict[str, Callable[[Path, str, str, Skips], Iterator[_Row]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
}


def _columns(table: Path, names: list[str], image: str, caption: str) -> tuple[int, int]:
    """Positions of the two columns.

    Raises:
        DataError: one is missing; the message lists the columns found.
    """
    for name, flag in ((image, "--image-column"), (caption, "--caption-column")):
        if name not in names:
            found = ", ".join(names) or "(none)"
            raise DataError(f"{table} has no column '{name}'; columns: {found}; choose by {flag}")
    return names.index(image), names.index(caption)


def _texts(cell: object) -> list[str]:
    """The captions in a cell: its text, or the texts of a list."""
    cells = cell if isinstance(cell, list) else [cell]
    return [text.strip() for text in cells if isinstance(text, str)]


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
