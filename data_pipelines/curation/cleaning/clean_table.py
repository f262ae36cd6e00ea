"""The captions of a table cleaned: for every sample what it said, what is left and what went.

A folder with ``captions/NAME.parquet`` for each shard (row, uid, caption, cleaned, removed), the
caption column that training reads in place of the captions (``data.captions``), the endings that
were taken off (``endings.tsv``) and ``cleaning.json``, written last, with the counts. No shard is
read or written; captions as training reads them.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from data_pipelines.captions.column_file import FILE_NAME, ShardTexts, write_column
from data_pipelines.curation.cleaning.cleaner import cleaned
from data_pipelines.curation.cleaning.recurring_endings import (
    Ending,
    Endings,
    EndingSettings,
    learned_endings,
    plain_words,
)
from data_pipelines.curation.parts import opened_part, write_part
from data_pipelines.curation.table import Table, TablePart
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import make_folder, remove_unfinished, write_file
from data_pipelines.shards.manifest import sha256_of
from data_pipelines.text_lines import lines_of

#: Names inside the folder.
CAPTIONS, ENDINGS_NAME, CLEANING_NAME = "captions", "endings.tsv", "cleaning.json"

_VERSION = 1
_BATCH_ROWS = 1 << 14
#: Captions that endings are learned from, evenly spread over the table: some 200 MB of memory.
_LEARNED_FROM = 500_000

_COLUMNS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("uid", pa.string(), nullable=False),
        pa.field("caption", pa.string()),
        pa.field("cleaned", pa.string()),
        pa.field("removed", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True, slots=True)
class CleaningSettings:
    """What is taken off captions.

    Args:
        endings: how credits are found among the captions themselves.
        names: file of endings in place of them, one a line ("ada byron").
        numbers: take numbers off ends too ("signal flag 6").
    """

    endings: EndingSettings = field(default_factory=EndingSettings)
    names: Path | None = None
    numbers: bool = False

    def identity(self) -> dict[str, JsonValue]:
        """What the result follows from besides the table."""
        listed = sha256_of(self.names) if self.names else None
        return {"endings": asdict(self.endings), "names": listed, "numbers": self.numbers}


class CleaningReport(NamedTuple):
    """What became of the captions; the three numbers are all samples of the table."""

    folder: Path
    num_changed: int
    num_unchanged: int
    num_without: int
    endings: Endings

    @property
    def num_samples(self) -> int:
        """Of the table."""
        return self.num_changed + self.num_unchanged + self.num_without


def clean_table(
    table: Table,
    out_dir: Path,
    settings: CleaningSettings,
    *,
    overwrite: bool = False,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> CleaningReport:
    """Write the cleaned captions of a table.

    Args:
        out_dir: folder to write. One that holds the same cleaning is written again to the same
            bytes; it takes seconds.
        overwrite: replace another cleaning that is there.
        progress: wraps the parts of the table.
    Raises:
        DataError: another cleaning is there, a file cannot be read, or the folder not written.
        ConfigError: the file of names is empty.
    """
    made_from: dict[str, JsonValue] = {"table": table.sha256, "settings": settings.identity()}
    _refuse_other(out_dir, made_from, overwrite=overwrite)
    endings = listed_endings(settings.names) if settings.names else _learned(table, settings)
    make_folder(out_dir / CAPTIONS)
    _clear(out_dir)
    counts, files = [0, 0, 0], {}
    for part in progress(table.parts):
        own, files[part.path.name] = _clean_part(part, out_dir / CAPTIONS, endings, settings)
        counts = [a + b for a, b in zip(counts, own, strict=True)]
    if sum(counts) != table.num_rows:
        raise DataError(
            f"{table.folder} has {table.num_rows:,} samples and {sum(counts):,} captions were "
            "looked at; a file of it changed meanwhile: run it again"
        )
    lines = [f"{' '.join(one.words)}\t{one.heads}\n" for one in endings.found]
    write_file(out_dir / ENDINGS_NAME, "".join(lines).encode())
    column = write_column(
        out_dir / FILE_NAME,
        (_texts(part, out_dir / CAPTIONS) for part in table.parts),
        name=out_dir.name,
        provenance={"cleaned": settings.identity()},
    )
    told = dict(zip(("changed", "unchanged", "without_caption"), counts, strict=True))
    stored = {
        "format_version": _VERSION,
        "made_from": made_from,
        **told,
        "column": column,
        "files": files,
    }
    write_file(out_dir / CLEANING_NAME, f"{json.dumps(stored, indent=1)}\n".encode())
    changed, unchanged, without = counts
    return CleaningReport(out_dir, changed, unchanged, without, endings)


def listed_endings(path: Path) -> Endings:
    """The endings of a file, one a line.

    Raises:
        DataError: it cannot be read.
        ConfigError: it has none.
    """
    try:
        lines = lines_of(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the names {path}: {error}; give one a line") from error
    found = {tuple(plain_words(line.partition("\t")[0])) for line in lines}
    if not found - {()}:
        raise ConfigError(f"{path} has no name; give one a line")
    return Endings(Ending(words, 0) for words in found if words)


def _refuse_other(out_dir: Path, made_from: dict[str, JsonValue], *, overwrite: bool) -> None:
    path = out_dir / CLEANING_NAME
    if overwrite or not path.is_file():
        return
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["made_from"]
    except (OSError, ValueError, KeyError, TypeError):
        stored = None
    if stored != made_from:
        raise DataError(
            f"{out_dir} holds captions cleaned otherwise, or of another table; choose another "
            "--out, or --overwrite it"
        )


def _clear(out_dir: Path) -> None:
    """Remove what does not hold while parts are written, the mark of completeness first."""
    try:
        (out_dir / CLEANING_NAME).unlink(missing_ok=True)
        for path in (out_dir / CAPTIONS).glob("*.parquet"):
            path.unlink()
    except OSError as error:
        raise DataError(f"cannot write {out_dir}: {error.strerror}; mend permissions") from error
    for folder in (out_dir, out_dir / CAPTIONS):
        remove_unfinished(folder)


def _learned(table: Table, settings: CleaningSettings) -> Endings:
    every = max(1, -(-table.num_rows // _LEARNED_FROM))
    captions = (text for _, _, text in _captions(table.parts) if text)
    chosen = (text for number, text in enumerate(captions) if number % every == 0)
    return learned_endings(chosen, settings.endings)


def _clean_part(
    part: TablePart, folder: Path, endings: Endings, settings: CleaningSettings
) -> tuple[list[int], str]:
    """Numbers changed, unchanged and without caption; SHA-256 of the file."""
    counts = [0, 0, 0]

    def batches() -> Iterator[pa.RecordBatch]:
        rows: list[dict[str, Any]] = []
        for row, uid, caption in _captions([part]):
            found = cleaned(caption, endings, numbers=settings.numbers) if caption else None
            counts[2 if found is None else 0 if found.removed else 1] += 1
            left, removed = (None, "") if found is None else found
            rows.append(
                {"row": row, "uid": uid, "caption": caption, "cleaned": left, "removed": removed}
            )
            if len(rows) == _BATCH_ROWS:
                yield pa.RecordBatch.from_pylist(rows, schema=_COLUMNS)
                rows = []
        yield pa.RecordBatch.from_pylist(rows, schema=_COLUMNS)

    note: dict[str, JsonValue] = {"content": part.content, "shard": part.shard}
    written = write_part(folder / part.path.name, _COLUMNS, batches(), note)
    return counts, written.sha256


def _texts(part: TablePart, folder: Path) -> ShardTexts:
    with opened_part(folder / part.path.name) as file:
        texts = file.read(columns=["cleaned"])["cleaned"].to_pylist()
    return ShardTexts(part.shard, part.content, texts)


def _captions(parts: Iterable[TablePart]) -> Iterator[tuple[int, str, str | None]]:
    """Row, uid and caption of each sample."""
    for part in parts:
        with opened_part(part.path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=["row", "uid", "caption"]):
                columns = (batch[name].to_pylist() for name in ("row", "uid", "caption"))
                yield from zip(*columns, strict=True)
