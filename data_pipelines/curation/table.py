"""The table of a scan, opened: its parts, its columns and the scores that were added to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from data_pipelines.bounded_json import MOST_ANNOTATION_BYTES, MOST_ANNOTATIONS, read_json
from data_pipelines.curation.parts import note_of, opened_part
from data_pipelines.curation.scan_parts import DEFAULT_FOLDER, SAMPLES, TABLE_NAME
from data_pipelines.curation.scan_shard import FORMAT_VERSION
from data_pipelines.curation.score_parts import SCORE_VERSION
from data_pipelines.curation.vector_parts import (
    VECTORS,
    VECTORS_NAME,
    VectorColumn,
    vector_note,
)
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.manifest import sha256_of
from data_pipelines.shards.remote import is_remote

#: Folder of the score columns inside that of the table; each has a folder of its name.
SCORES, SCORES_NAME = "scores", "scores.json"


class TablePart(NamedTuple):
    """The rows of one shard."""

    shard: str
    content: str
    rows: int
    path: Path
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """A finished table; see ``open_table``.

    Args:
        parts: in the order of the shards.
        settings: of its scan.
    """

    folder: Path
    parts: tuple[TablePart, ...]
    settings: dict[str, JsonValue]

    @property
    def num_rows(self) -> int:
        """Of all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def sha256(self) -> str:
        """Of the file that names all parts by their digests."""
        return sha256_of(self.folder / TABLE_NAME)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the samples themselves."""
        schema: pa.Schema = opened_part(self.parts[0].path).schema_arrow
        return tuple(schema.names)

    @cached_property
    def scores(self) -> tuple[str, ...]:
        """Names of the score columns."""
        return tuple(sorted(path.parent.name for path in self._scores().glob(f"*/{SCORES_NAME}")))

    def score_parts(self, name: str) -> tuple[Path, ...]:
        """The files of a score column, in the order of the shards.

        Raises:
            DataError: they are of other shards than the table.
        """
        paths = tuple(self._scores() / name / part.path.name for part in self.parts)
        for part, path in zip(self.parts, paths, strict=True):
            note = note_of(path)
            is_ours = note is not None and note.get("format_version") == SCORE_VERSION
            if note is None or not is_ours or note.get("content") != part.content:
                raise DataError(
                    f"score '{name}' of {part.shard} is missing, or of other content than the "
                    f"table's; run 'vlsuite curate score SHARDS --name {name}' again"
                )
        return paths

    def score_sha256(self, name: str) -> str:
        """Of the file that names all parts of a score column by their digests."""
        return sha256_of(self._scores() / name / SCORES_NAME)

    @cached_property
    def vectors(self) -> tuple[str, ...]:
        """Names of the columns of vectors."""
        return tuple(sorted(path.parent.name for path in self._vectors().glob(f"*/{VECTORS_NAME}")))

    def vector_column(self, name: str) -> VectorColumn:
        """Vectors of all samples.

        Raises:
            DataError: there are none of this name, or they are of other shards than the table.
        """
        if name not in self.vectors:
            known = f"; known: {', '.join(self.vectors)}" if self.vectors else ""
            raise DataError(
                f"the table in {self.folder} has no vectors '{name}'; make them by 'vlsuite curate "
                f"embed SHARDS --model MODEL --name {name}'{known}"
            )
        paths = [self._vectors() / name / f"{part.path.stem}.npy" for part in self.parts]
        notes = []
        for part, path in zip(self.parts, paths, strict=True):
            note = vector_note(path)
            if note is None or (note.get("content"), note.get("rows")) != (part.content, part.rows):
                raise DataError(
                    f"the vectors '{name}' of {part.shard} are missing, or of other content than "
                    f"the table's; run 'vlsuite curate embed SHARDS --name {name}' again"
                )
            notes.append(note)
        return VectorColumn(name, paths, notes)

    def vectors_sha256(self, name: str) -> str:
        """Of the file that names all parts of vectors by their digests."""
        return sha256_of(self._vectors() / name / VECTORS_NAME)

    def _scores(self) -> Path:
        return self.folder / SCORES

    def _vectors(self) -> Path:
        return self.folder / VECTORS


def open_table(path: Path) -> Table:
    """Open the table in a folder, or in the folder "curation" of a folder of shards.

    Raises:
        DataError: there is none, its scan was interrupted, or its parts are not those it names.
    """
    folder = path if (path / TABLE_NAME).is_file() else path / DEFAULT_FOLDER
    if not (folder / TABLE_NAME).is_file():
        raise DataError(
            f"no finished table in {path}; make it by 'vlsuite curate scan SHARDS', or run the "
            "scan that was interrupted again"
        )
    stored = _stored(folder / TABLE_NAME)
    parts = tuple(
        TablePart(
            shard=entry["name"],
            content=entry["content"],
            rows=entry["rows"],
            path=folder / SAMPLES / entry["part"],
            sha256=entry["sha256"],
        )
        for entry in stored["shards"]
    )
    for part, entry in zip(parts, stored["shards"], strict=True):
        _check(part, entry["bytes"])
    return Table(folder=folder, parts=parts, settings=stored["settings"])


def open_table_of(paths: Sequence[str], folder: Path | None) -> Table:
    """Open the table in a folder, or that beside the shards behind ``paths``.

    Raises:
        ShardError: no folder is named, and there are no shards.
        DataError: as ``open_table``; or no folder is named for shards on remote storage.
    """
    if folder is not None:
        return open_table(folder)
    if any(map(is_remote, paths)):
        raise DataError(
            "the shards lie on remote storage; name the folder of their table by --table"
        )
    return open_table(find_shards(paths)[0].parent)


def _stored(path: Path) -> dict[str, Any]:
    try:
        stored = read_json(path, most_values=MOST_ANNOTATIONS, most_bytes=MOST_ANNOTATION_BYTES)
        is_ours = stored["tool"] == "vlsuite" and bool(stored["shards"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be read: {error}; scan the shards again") from error
    if not is_ours or stored["format_version"] != FORMAT_VERSION:
        raise DataError(f"{path} is of another version of vlsuite; scan the shards again")
    return stored


def _check(part: TablePart, size: int) -> None:
    try:
        found = part.path.stat().st_size
    except OSError as error:
        raise DataError(f"{part.path} is missing; scan the shards again") from error
    if found != size:
        raise DataError(
            f"{part.path} has {found:,} bytes, its table says {size:,}; scan the shards again"
        )
