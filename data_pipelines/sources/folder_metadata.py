"""``metadata.csv`` of a folder of pictures, as Hugging Face's ImageFolder has it."""

from pathlib import Path

from data_pipelines.errors import DataError
from data_pipelines.skips import Skips
from data_pipelines.table_rows import TABLE_SUFFIXES, TableColumns, WantedColumn, is_text, texts_of

#: The choice of captions, and the stem of the files.
METADATA = "metadata"
FILE_COLUMN = "file_name"
METADATA_COLUMNS = ("caption", "captions", "title", "description")


def metadata_files(root: Path, *, deep: bool = True) -> list[Path]:
    """All of them in a folder, in the order of their paths.

    Args:
        deep: whether in its sub-folders too.
    """
    names = [f"{METADATA}{suffix}" for suffix in TABLE_SUFFIXES]
    return sorted(path for name in names for path in root.glob(f"**/{name}" if deep else name))


def metadata_captions(root: Path, column: str, skips: Skips) -> dict[Path, dict[str, None]]:
    """Captions of each picture, without repetitions; rows without any go to ``skips``.

    Paths in a file start from its own folder, and may not lead out of ``root``.

    Raises:
        DataError: no such file, or one without the columns.
    """
    files = metadata_files(root)
    if not files:
        raise DataError(
            f"{root} has no {METADATA}.csv (nor .tsv, .jsonl, .parquet); write one with "
            f"{FILE_COLUMN} and text, or choose by --captions"
        )
    captions: dict[Path, dict[str, None]] = {}
    for file in files:
        _add_rows(captions, root, file, column, skips)
    return captions


def _add_rows(
    captions: dict[Path, dict[str, None]], root: Path, file: Path, column: str, skips: Skips
) -> None:
    also = METADATA_COLUMNS if column == "text" else ()
    wanted = (
        WantedColumn(FILE_COLUMN, "--captions"),
        WantedColumn(column, "--caption-column", is_text=True, also=also),
    )
    for row in TableColumns(table=file, wanted=wanted).rows(skips):
        where = f"{file.relative_to(root)} row {row.number}"
        named, caption = row.cells
        name = named.strip() if isinstance(named, str) else ""
        texts = [text for text in texts_of(caption) if text]
        path = file.parent / name
        if not name:
            skips.add("no image path", where)
        elif not path.resolve().is_relative_to(root.resolve()):
            skips.add("path leads out of the folder", where)
        elif not texts:
            skips.add("empty caption", where)
        elif not all(is_text(text) for text in (name, *texts)):
            skips.add("text not UTF-8", where)
        else:
            captions.setdefault(path, {}).update(dict.fromkeys(texts))
