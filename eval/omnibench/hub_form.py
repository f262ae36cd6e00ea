"""OmniBench as on the Hugging Face hub: Parquet tables with the media inside."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.errors import BadSampleError
from eval.data.file_digest import digest_ends
from eval.errors import EvaluationError
from eval.omnibench.media import CellMedia, FileMedia, TableMedia
from eval.omnibench.question_set import QuestionSet
from eval.omnibench.record import COLUMNS, Problem, question_of
from eval.respondents.media import BytesMedia
from eval.respondents.question import Media, OmniQuestion

_MEDIA = ("image", "audio")
_ROWS = 512  # of a table at once


class _Collector:
    """Questions and problems of records that come one by one."""

    def __init__(self) -> None:
        self.questions: dict[int, OmniQuestion] = {}
        self.problems: list[Problem] = []
        self.digest = hashlib.sha256()

    def add(self, record: Mapping[str, Any], media: Mapping[str, Media | None], where: str) -> None:
        told = json.dumps({key: record.get(key) for key in COLUMNS}, sort_keys=True)
        self.digest.update(told.encode())
        try:
            image, audio = media["image"], media["audio"]
            if image is None or audio is None:
                raise BadSampleError("missing media", "no image" if image is None else "no audio")
            question = question_of(record, image=image, audio=audio)
            if question.index in self.questions:
                raise BadSampleError("duplicated index", str(question.index))
        except BadSampleError as error:
            self.problems.append(Problem(error.kind, f"{where}: {error}"))
            return
        self.questions[question.index] = question

    def finish(self, name: str) -> QuestionSet:
        return QuestionSet(
            name=name,
            questions=tuple(self.questions.values()),
            revision=self.digest.hexdigest(),
            problems=tuple(self.problems),
        )


def read_parquet(files: Sequence[Path], *, name: str) -> QuestionSet:
    """Questions of Parquet files; media stay in the files until they are asked for.

    Raises:
        EvaluationError: a file is no Parquet or lacks a column.
    """
    collector = _Collector()
    for file in files:
        try:
            digest_ends(collector.digest, file)
        except OSError as error:
            raise EvaluationError(f"cannot read {file}: {error.strerror or error}") from error
        table = TableMedia(file)
        for group, row, record in _records(file):
            media = {column: _cell(record, column, table, group, row) for column in _MEDIA}
            collector.add(record, media, f"{file.name}, row group {group}, row {row}")
    return collector.finish(name)


def _records(file: Path) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """Row group, row in it and the record without its bytes."""
    import pyarrow
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(file)
        found = set(opened.schema_arrow.names)
        missing = [column for column in (*COLUMNS, *_MEDIA) if column not in found]
        if missing:
            raise EvaluationError(
                f"{file} has no column '{missing[0]}'; it is no OmniBench table (columns: "
                f"{', '.join(opened.schema_arrow.names)})"
            )
        for column in _MEDIA:
            if not pyarrow.types.is_struct(opened.schema_arrow.field(column).type):
                raise EvaluationError(f"{file}: column '{column}' is no struct of bytes and path")
        columns = [*COLUMNS, *(f"{column}.path" for column in _MEDIA)]
        for group in range(opened.num_row_groups):
            # in parts: one long cell may stand in every row at no cost to the file
            parts = opened.iter_batches(_ROWS, row_groups=[group], columns=columns)
            rows = (record for part in parts for record in part.to_pylist())
            yield from ((group, row, record) for row, record in enumerate(rows))
    except (OSError, pyarrow.ArrowException, ValueError, OverflowError) as error:
        raise EvaluationError(f"cannot read {file}: {str(error).splitlines()[0]}") from error


def _cell(
    record: Mapping[str, Any], column: str, table: TableMedia, group: int, row: int
) -> Media | None:
    cell = record.get(column)
    if cell is None:
        return None
    name = cell.get("path") or record.get(f"{column}_path") or column
    return CellMedia(Path(str(name)).name, table, group, row, column)


def read_hub(dataset: str) -> QuestionSet:
    """Questions of a data set on the hub, through the library ``datasets``.

    Raises:
        EvaluationError: the library is not installed, or the data set cannot be had.
    """
    try:
        import datasets
    except ImportError as error:
        raise EvaluationError(
            f"hf:{dataset} needs the package {error.name}: pip install -e .[huggingface]"
        ) from error
    try:
        rows = datasets.load_dataset(dataset, split="train")
        rows = rows.cast_column("image", datasets.Image(decode=False))
        rows = rows.cast_column("audio", datasets.Audio(decode=False))
    except Exception as error:  # the library raises all kinds where there is no network
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise EvaluationError(
            f"cannot load hf:{dataset} ({reason[:160]}); on a machine with a network run: "
            f"hf download {dataset} --repo-type dataset --local-dir omnibench, then give that "
            "folder instead"
        ) from error
    collector = _Collector()
    collector.digest.update(str(getattr(rows, "_fingerprint", "")).encode())
    for number in range(len(rows)):
        record = rows[number]
        media = {column: _library_media(record.get(column)) for column in _MEDIA}
        collector.add(record, media, f"row {number}")
    return collector.finish(dataset.rpartition("/")[2])


def _library_media(cell: Any) -> Media | None:
    """Media of an undecoded cell: stored in the row, or in a file it names."""
    if not isinstance(cell, dict):
        return None
    if cell.get("bytes"):
        return BytesMedia(Path(cell.get("path") or "media").name, cell["bytes"])
    return FileMedia(Path(cell["path"])) if cell.get("path") else None
