"""A table of image paths and captions: CSV, TSV or Parquet."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from data_pipelines.images import load_image
from data_pipelines.options import option
from data_pipelines.schema import Sample, make_uid
from data_pipelines.skips import Skips
from data_pipelines.sources.source import Source, sources
from data_pipelines.table_rows import TableColumns, WantedColumn, is_text, texts_of


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
        columns = TableColumns(
            table=self.table,
            wanted=(
                WantedColumn(self.image_column, "--image-column"),
                WantedColumn(self.caption_column, "--caption-column", is_text=True),
            ),
            quoting=self.quoting,
            names=self.columns,
        )
        captions: dict[str, dict[str, None]] = {}
        rows, skipped, used = f"rows of {self.table.name}", skips.total, 0
        for row in columns.rows(skips):
            where = f"{self.table.name} row {row.number}"
            named, caption = row.cells
            path = named.strip() if isinstance(named, str) else ""
            if not path:
                skips.add("no image path", where)
                continue
            texts = [text for text in texts_of(caption) if text]
            if not texts:
                skips.add("empty caption", where)
            elif not all(is_text(text) for text in (path, *texts)):
                skips.add("text not UTF-8", where)
            else:
                used += 1
                captions.setdefault(path, {}).update(dict.fromkeys(texts))
        assert skips.inputs.get(rows, 0) == used + skips.total - skipped
        skips.read("pictures named", len(captions))
        return captions
