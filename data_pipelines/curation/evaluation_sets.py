"""Evaluation sets that training must not have seen: tables of scans, or folders of pictures."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from data_pipelines.bounded_files import media_bytes
from data_pipelines.curation.columns import GOOD
from data_pipelines.curation.parts import opened_part
from data_pipelines.curation.perceptual_hash import Decoding, perceptual_hash
from data_pipelines.curation.picture_facts import picture_facts
from data_pipelines.curation.scan_parts import DEFAULT_FOLDER, TABLE_NAME
from data_pipelines.curation.table import Table, open_table
from data_pipelines.errors import DataError
from data_pipelines.image_formats import FORMAT_OF_SUFFIX

#: What is known of a sample of an evaluation set; NULL where it is not.
SET_COLUMNS = pa.schema(
    [
        pa.field("source", pa.string()),
        pa.field("name", pa.string()),
        pa.field("sha256", pa.binary(32)),
        pa.field("phash", pa.uint64()),
        pa.field("path", pa.string()),
        pa.field("caption", pa.string()),
    ]
)

_DECODINGS: tuple[Decoding, ...] = ("full", "scaled")
_TAKEN = {"name": "uid", "path": "phash_path"}


@dataclass(frozen=True)
class EvaluationSet:
    """One set; see ``open_set``.

    Args:
        path: of the folder.
        table: of its scan; None for a folder of pictures.
    """

    path: Path
    table: Table | None

    @property
    def name(self) -> str:
        """Of the folder of its shards or pictures."""
        path = self.path.resolve()
        return path.parent.name if self.table and path.name == DEFAULT_FOLDER else path.name

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that is known of its samples."""
        if self.table:
            return self.table.sha256
        digest = hashlib.sha256()
        for row in self._pictures:
            digest.update(f"{row['name']}\0{row['sha256'].hex()}\n".encode())
        return digest.hexdigest()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All samples, with ``SET_COLUMNS``; a picture may have a row for each decode path."""
        if self.table is None:
            rows = [{"source": self.name, **row} for row in self._pictures]
            yield pa.RecordBatch.from_pylist(rows, schema=SET_COLUMNS)
            return
        for part in self.table.parts:
            with opened_part(part.path) as file:
                known = set(file.schema_arrow.names)
                wanted = {str(one): _TAKEN.get(one, str(one)) for one in SET_COLUMNS.names[1:]}
                taken = {own: theirs for own, theirs in wanted.items() if theirs in known}
                for batch in file.iter_batches(columns=list(taken.values())):
                    yield _batch(batch, taken, self.name)

    @cached_property
    def _pictures(self) -> list[dict[str, Any]]:
        return [row for path in _files(self.path) for row in _rows(path, self.path)]


def open_set(path: Path) -> EvaluationSet:
    """The set in a folder.

    Args:
        path: of a table, of shards with a table beside them, or of pictures (in any depth).
    Raises:
        DataError: it is none of these.
    """
    if any((folder / TABLE_NAME).is_file() for folder in (path, path / DEFAULT_FOLDER)):
        return EvaluationSet(path, open_table(path))
    if next(iter(_files(path)), None) is None:
        raise DataError(
            f"{path} is no evaluation set: it holds neither a table of 'vlsuite curate scan' nor "
            "pictures; scan its shards first"
        )
    return EvaluationSet(path, None)


def _files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower().removeprefix(".") in FORMAT_OF_SUFFIX and path.is_file()
    )


def _rows(path: Path, folder: Path) -> Iterator[dict[str, Any]]:
    """Of one picture, a row for each way to decode it that gives another path."""
    try:
        data = media_bytes(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; mend or remove it") from error
    facts = picture_facts(data, decode=False)
    row = {
        "name": path.relative_to(folder).as_posix(),
        "sha256": hashlib.sha256(data).digest(),
    }
    paths: dict[str, int] = {}
    for decoding in _DECODINGS if facts.verdict == GOOD else ():
        try:
            found = perceptual_hash(data, facts, decoding=decoding)
        except DataError:
            continue
        paths[found.path] = found.bits
    if not paths:
        yield row
    for name, bits in paths.items():
        yield {**row, "phash": bits, "path": name}


def _batch(batch: pa.RecordBatch, taken: dict[str, str], source: str) -> pa.RecordBatch:
    columns = []
    for field in SET_COLUMNS:
        if field.name in taken:
            columns.append(batch[taken[field.name]].cast(field.type))
        elif field.name == "source":
            columns.append(pa.array([source] * batch.num_rows, type=field.type))
        else:
            columns.append(pa.nulls(batch.num_rows, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=SET_COLUMNS)
