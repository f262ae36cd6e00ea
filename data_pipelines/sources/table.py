"""Tables of captions with paths of pictures, or with the pictures themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from data_pipelines.errors import DataError
from data_pipelines.images import load_image, skip_image, storable
from data_pipelines.looks import holds
from data_pipelines.options import option
from data_pipelines.schema import Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, sources
from data_pipelines.table_rows import (
    TABLE_SUFFIXES,
    TableColumns,
    TableRow,
    WantedColumn,
    is_text,
    texts_of,
)
from data_pipelines.video_lists.formats import is_of_videos

#: What columns are called where the default is not there: those of Hugging Face's tables and of
#: img2dataset's, whose pictures lie in jpg, png or webp.
IMAGE_COLUMNS = ("image", "file_name", "image_path", "filepath", "image_bytes", "jpg", "png")
IMAGE_COLUMNS += ("webp",)
CAPTION_COLUMNS = ("text", "captions", "title", "TEXT", "txt")


@sources.register("table")
@dataclass(frozen=True, kw_only=True)
class CaptionTable(Source):
    """Settings of the table."""

    HELP: ClassVar[str] = (
        "CSV, TSV, JSON lines or Parquet with captions and paths of pictures, or with the pictures "
        "themselves (Hugging Face's and img2dataset's Parquet)"
    )
    EXAMPLE: ClassVar[str] = (
        "vlsuite data build table pairs.csv --image-column file --caption-column text "
        "--out data/pairs"
    )

    table: Path = option(
        "the table, a folder of Parquet tables, or a pattern; the suffix .csv, .tsv, .jsonl or "
        ".parquet tells the format",
        positional=True,
        metavar="TABLE",
        formerly="--table",
    )
    image_column: str = option(
        "column of the image paths, or in Parquet of the pictures (where there is no 'path': the "
        f"one that is there of {', '.join(IMAGE_COLUMNS)})",
        default="path",
    )
    caption_column: str = option(
        "column of the captions: text, or lists in Parquet (where there is no 'caption': the one "
        f"that is there of {', '.join(CAPTION_COLUMNS)})",
        default="caption",
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
    images: Path | None = option(
        "folder that relative paths start from (default: the folder of the table)",
        default=None,
        metavar="DIR",
        formerly="--root",
    )

    @classmethod
    def fits(cls, path: Path) -> bool:
        """See ``Source``."""
        if path.is_dir():
            return holds(path, (".parquet",))
        return path.suffix.lower() in TABLE_SUFFIXES and not is_of_videos(path)

    def samples(self, skips: Skips) -> Iterator[Sample]:
        """Pictures of the tables in order, a sample a row; then those that are files.

        These are one sample an image, in the order of first appearance; its rows add captions.
        """
        captions: dict[Path, dict[str, None]] = {}
        keys: dict[Path, str] = {}
        for table in tables_of(self.table):
            folder = self.images or table.parent
            rows, skipped, used = f"rows of {table.name}", skips.total, 0
            read = skips.inputs.get(rows, 0)
            for row in self._rows(table, skips):
                picture = picture_of(row.cells[0])
                texts = self._texts(row, picture, f"{table.name} row {row.number}", skips)
                if not texts:
                    continue
                if isinstance(picture, bytes):
                    sample = _stored(picture, row, table, texts, skips)
                    if sample is not None:
                        used += 1
                        yield sample
                    continue
                assert picture is not None
                used += 1
                keys.setdefault(folder / picture, picture)
                captions.setdefault(folder / picture, {}).update(dict.fromkeys(texts))
            assert skips.inputs.get(rows, 0) - read == used + skips.total - skipped
        if captions:
            skips.read("pictures named", len(captions))
        for path, texts in captions.items():
            image = load_image(path, skips)
            if image is None:
                continue
            yield Sample(
                uid=make_uid("table", keys[path], image.data),
                image=image.data,
                image_suffix=image.suffix,
                captions=tuple(texts),
                provenance={"source": "table", "key": keys[path]},
            )

    def _rows(self, table: Path, skips: Skips) -> Iterator[TableRow]:
        is_default = self.image_column == "path", self.caption_column == "caption"
        return TableColumns(
            table=table,
            wanted=(
                WantedColumn(
                    self.image_column,
                    "--image-column",
                    also=IMAGE_COLUMNS if is_default[0] else (),
                ),
                WantedColumn(
                    self.caption_column,
                    "--caption-column",
                    is_text=True,
                    also=CAPTION_COLUMNS if is_default[1] else (),
                ),
                WantedColumn("status", "--columns", may_be_missing=True),
            ),
            quoting=self.quoting,
            names=self.columns,
        ).rows(skips)

    def _texts(
        self, row: TableRow, picture: str | bytes | None, where: str, skips: Skips
    ) -> list[str]:
        """The captions of a row with a picture; none, and counted, where either is missing."""
        _, caption, status = row.cells
        path = picture if isinstance(picture, str) else ""
        if picture is None:
            is_lost = isinstance(status, str) and status != "success"
            skips.add("not downloaded" if is_lost else "no image path", where)
            return []
        texts = [text for text in texts_of(caption) if text]
        if not texts:
            skips.add("empty caption", where)
        elif not all(is_text(text) for text in (path, *texts)):
            skips.add("text not UTF-8", where)
        else:
            return list(dict.fromkeys(texts))
        return []


def tables_of(place: Path) -> list[Path]:
    """The tables that a path means, in the order of their names.

    Raises:
        DataError: a folder without Parquet tables, or a pattern that nothing matches.
    """
    if place.is_dir():
        found = sorted(place.glob("*.parquet")) or sorted(place.glob("**/*.parquet"))
        if not found:
            raise DataError(f"{place} holds no .parquet table; name a table, or a pattern")
        return found
    if not place.exists() and any(mark in place.name for mark in "*?["):
        found = sorted(place.parent.glob(place.name))
        if not found:
            raise DataError(f"no table matches {place}; check the pattern")
        return found
    return [place]


def _stored(
    data: bytes, row: TableRow, table: Path, texts: list[str], skips: Skips
) -> Sample | None:
    """The sample of a row that holds its picture; None, and counted, where it is broken."""
    key = f"{table.name}/{row.number}"
    try:
        image = storable(data)
    except DataError as error:
        skip_image(error, f"{table.name} row {row.number}", skips)
        return None
    return Sample(
        uid=make_uid("table", key, image.data),
        image=image.data,
        image_suffix=image.suffix,
        captions=tuple(texts),
        provenance={"source": "table", "key": key},
    )


def picture_of(cell: object) -> str | bytes | None:
    """What a cell says of a picture: its bytes, else its path; None where it says nothing.

    Hugging Face's tables hold ``{"bytes": ..., "path": ...}``.
    """
    if isinstance(cell, dict):
        return picture_of(cell.get("bytes")) or picture_of(cell.get("path"))
    if isinstance(cell, str):
        return cell.strip() or None
    return cell or None if isinstance(cell, bytes) else None
