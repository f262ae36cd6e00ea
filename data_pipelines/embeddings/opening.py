"""What a user names to be embedded: shards, folders, pictures, lists and tables of them, texts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.bounded_files import media_bytes
from data_pipelines.embeddings.item import TEXTS, Part
from data_pipelines.embeddings.listed_items import FOLDER, TABLE, Listed, listed_parts
from data_pipelines.embeddings.shard_items import shard_parts
from data_pipelines.embeddings.table_items import bytes_parts, holds_bytes, opened_table
from data_pipelines.errors import DataError
from data_pipelines.file_captions import files_below
from data_pipelines.image_formats import FORMAT_OF_SUFFIX
from data_pipelines.skips import Skips
from data_pipelines.table_rows import TableColumns, WantedColumn, texts_of
from data_pipelines.text_lines import lines_of

_PICTURES = frozenset(f".{suffix}" for suffix in FORMAT_OF_SUFFIX)
_TABLES = (".csv", ".tsv", ".parquet")
_IMAGE_COLUMNS = ("image", "jpg", "png", "webp", "picture", "img", "bytes", "image_bytes")
_PATH_COLUMNS = ("path", "image_path", "filepath", "file_name", "filename", "file", "image")
_CAPTION_COLUMNS = ("caption", "text", "txt", "TEXT", "title")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How inputs are read.

    Attributes:
        kind: what is embedded, of ``item.KINDS``.
        rows: most items of a part; None: see ``item.part_ranges``.
        image_column: of tables; None takes the first that is usual ("image", "path", ...).
        caption_column: of tables; None takes the first that is usual ("caption", "text", ...).
    """

    kind: str
    rows: int | None = None
    image_column: str | None = None
    caption_column: str | None = None


def open_parts(paths: Sequence[str], reading: Reading) -> list[Part]:
    """Everything behind the paths, in the order named, in parts.

    A folder means the tars in it and below it where there are any, else its pictures, else its
    Parquet files. A ``.txt`` has one path a line; one text where texts are embedded.

    Raises:
        DataError: nothing there, or of no kind that is known.
        ShardError: a shard that cannot be read.
    """
    parts = [part for path in paths for part in _parts(path, reading)]
    if not parts:
        raise DataError(f"nothing to embed in {', '.join(paths)}; check the paths")
    return parts


def _parts(path: str, reading: Reading) -> Iterator[Part]:
    place = Path(path)
    suffix = place.suffix.lower()
    if place.is_dir():
        yield from _of_folder(place, reading)
    elif place.is_file() and suffix in _TABLES:
        yield from _of_table(place, reading)
    elif place.is_file() and suffix in _PICTURES:
        entry = Listed(place.name, _sidecar(place))
        yield from listed_parts([entry], root=place.parent, key=place.parent, rows=reading.rows)
    elif place.is_file() and suffix == ".txt":
        yield from _of_text(place, reading)
    elif place.is_file() and suffix != ".tar":
        known = ".tar, .txt, .csv, .tsv, .parquet, or a picture"
        raise DataError(f"{place}: '{suffix}' is none of {known}; convert it or name its folder")
    else:
        yield from shard_parts([path], rows=reading.rows)


def _of_folder(folder: Path, reading: Reading) -> Iterator[Part]:
    if next(folder.rglob("*.tar"), None) is not None:
        yield from shard_parts([str(folder)], rows=reading.rows)
        return
    files = [path for path in files_below(folder) if path.suffix.lower() in _PICTURES]
    if files:
        entries = [Listed(path.relative_to(folder).as_posix(), _sidecar(path)) for path in files]
        yield from listed_parts(entries, root=folder, key=folder, rows=reading.rows)
        return
    tables = [path for path in files_below(folder) if path.suffix.lower() == ".parquet"]
    if not tables:
        raise DataError(f"folder {folder} has neither tars, pictures nor Parquet files in it")
    for table in tables:
        yield from _of_table(table, reading)


def _of_text(place: Path, reading: Reading) -> Iterator[Part]:
    lines = [line.strip() for line in lines_of(_text(place))]
    if reading.kind == TEXTS:
        entries = [Listed("", line) for line in lines]
    else:
        entries = [Listed(line, None) for line in lines if line]
    yield from listed_parts(entries, root=place.parent, key=place, rows=reading.rows)


def _of_table(table: Path, reading: Reading) -> Iterator[Part]:
    if table.suffix.lower() == ".parquet" and reading.kind != TEXTS:
        with opened_table(table) as file:
            schema = file.schema_arrow
        wanted = [reading.image_column] if reading.image_column else _IMAGE_COLUMNS
        for name in wanted:
            if name in schema.names and holds_bytes(schema.field(name).type):
                caption = _first(schema.names, reading.caption_column, _CAPTION_COLUMNS)
                yield from bytes_parts(
                    table, image_column=name, caption_column=caption, rows=reading.rows
                )
                return
    yield from listed_parts(
        list(_listed(table, reading)),
        root=table.parent,
        key=table,
        rows=reading.rows,
        collection=TABLE if reading.kind != TEXTS else FOLDER,
    )


def _listed(table: Path, reading: Reading) -> Iterator[Listed]:
    """Rows of a table of paths; what the table cannot tell is an entry without it."""
    names = _column_names(table)
    image = _first(names, reading.image_column, _PATH_COLUMNS)
    caption = _first(names, reading.caption_column, _CAPTION_COLUMNS)
    if reading.kind == TEXTS:
        image = None
    if (image is None and caption is None) or (image is None and reading.kind != TEXTS):
        what = "caption" if reading.kind == TEXTS else "image"
        raise DataError(
            f"{table} has no column that is known to hold {what}s ({', '.join(names[:20])}); name "
            f"it by --{what}-column"
        )
    wanted = tuple(
        WantedColumn(name, flag)
        for name, flag in ((image, "--image-column"), (caption, "--caption-column"))
        if name is not None
    )
    skips = Skips()
    for row in TableColumns(table=table, wanted=wanted).rows(skips):
        cells = iter(row.cells)
        path = next(cells) if image is not None else ""
        texts = [text for text in texts_of(next(cells)) if text] if caption is not None else []
        yield Listed(path.strip() if isinstance(path, str) else "", texts[0] if texts else None)
    if skips.total:
        told = ", ".join(f"{count:,} {kind}" for kind, count in skips.counts.items())
        raise DataError(f"{table} has broken rows ({told}); mend them, so that none is lost")


def _column_names(table: Path) -> list[str]:
    if table.suffix.lower() == ".parquet":
        with opened_table(table) as file:
            return list(file.schema_arrow.names)
    first = next(iter(lines_of(_text(table)[:65536])), "")
    delimiter = "\t" if table.suffix.lower() == ".tsv" else ","
    return [name.strip().strip('"') for name in first.split(delimiter)]


def _first(names: Sequence[str], given: str | None, usual: Sequence[str]) -> str | None:
    if given is not None:
        return given
    return next((name for name in usual if name in names), None)


def _sidecar(picture: Path) -> str | None:
    """First line of the text file beside a picture."""
    beside = picture.with_suffix(".txt")
    if not beside.is_file():
        return None
    return next((line.strip() for line in lines_of(_text(beside)) if line.strip()), None)


def _text(path: Path) -> str:
    try:
        return media_bytes(path).decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
