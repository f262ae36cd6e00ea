"""What a model makes of every sample of a table: a file for each shard, in a folder beside it.

Files are written atomically, with what they depend on: content of the shard, fingerprint of the
model (weights, preprocessing, tokenizer) and batch size, which changes the last digits. Those that
are there are passed over; the file that names all of them comes last.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from data_pipelines.curation.table import Table, TablePart
from data_pipelines.curation.table_shards import shards_of
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import make_folder, remove_unfinished, write_file
from data_pipelines.workers.share import Share
from data_pipelines.workers.shared_storage import await_file
from vlsuite.models.part_tasks import ModelCluster, PartTask, over_parts

Progress = Callable[[Iterable[Any]], Iterable[Any]]
Note = dict[str, Any]


class PartMade(NamedTuple):
    """The stored note of a shard's file, and whether it was made now."""

    note: dict[str, Any]
    is_new: bool


@dataclass(frozen=True, kw_only=True)
class TableColumn(ABC):
    """Files of one kind; satisfies ``PartWork``.

    Attributes:
        folder: of the files, called as the column is.
        settings: what they depend on besides their shard.
    """

    #: Of the file that names all others.
    about_name: ClassVar[str]

    folder: Path
    settings: Mapping[str, Any]

    @abstractmethod
    def path(self, part: TablePart) -> Path:
        """Of the file of a shard."""

    @abstractmethod
    def stored(self, path: Path) -> dict[str, Any] | None:
        """The note of a file; None where there is none, or the file is not what it says."""

    @abstractmethod
    def make(self, model: Any, task: PartTask, note: Note) -> dict[str, Any]:
        """Write the file of a shard.

        Args:
            note: what it depends on.
        Returns:
            The note as it is stored.
        Raises:
            DataError: the shard is of other content than its part of the table.
        """

    @abstractmethod
    def listed(self, part: TablePart, made: PartMade) -> tuple[str, str]:
        """Name and SHA-256 of the file of a shard, as the last file lists them."""

    def __call__(self, model: Any, task: PartTask, /) -> PartMade:
        """Write the file of one shard unless it is there."""
        note = self._note(task.part)
        stored = self.stored(self.path(task.part))
        if stored is not None and _is_of(stored, note):
            return PartMade(stored, False)
        return PartMade(self.make(model, task, note), True)

    def missing(self, table: Table) -> list[int]:
        """Numbers of the parts of a table whose files are not there yet."""
        return [
            number
            for number, part in enumerate(table.parts)
            if not _is_of(self.stored(self.path(part)), self._note(part))
        ]

    def _note(self, part: TablePart) -> Note:
        return {"content": part.content, "rows": part.rows, **self.settings}


def _is_of(stored: Mapping[str, Any] | None, note: Note) -> bool:
    return stored is not None and all(stored.get(key) == value for key, value in note.items())


class Filled(NamedTuple):
    """What was done: of each part of the table or of the share, and the sum of their samples."""

    made: list[PartMade]
    num_samples: int

    @property
    def num_without(self) -> int:
        """Samples that nothing could be made of."""
        return sum(one.note["without"] for one in self.made)

    @property
    def num_read(self) -> int:
        """Shards that were read now."""
        return sum(one.is_new for one in self.made)


def fill_column(
    column: TableColumn,
    model: Any,
    paths: Sequence[str],
    table: Table,
    *,
    share: Share | None = None,
    cluster: ModelCluster | None = None,
    progress: Progress = iter,
) -> Filled:
    """Make the files of all shards of a table; shards that have theirs already are passed over.

    Args:
        paths: of the shards of the table, or addresses: each is then fetched into the cache of
            training, unless its file is there.
        share: of the shards that is made; the column is complete after ``finish_column``.
        cluster: whose nodes work, in place of this process.
        progress: wraps the shards.
    Raises:
        DataError: a shard of the table is not there or of other content, or the folder cannot be
            written.
    """
    shards = shards_of(table, paths)
    make_folder(column.folder)
    if share is None:
        remove_unfinished(column.folder)  # those of other shares may be written right now
    (column.folder / column.about_name).unlink(missing_ok=True)
    parts = table.parts if share is None else share.of(table.parts)
    work = replace(column, folder=column.folder.absolute())
    tasks = [PartTask(shards[part.shard], part) for part in parts]
    made = over_parts(work, model, tasks, cluster=cluster, progress=progress)
    for part in parts if cluster else ():
        await_file(column.path(part))
    return Filled(made, sum(part.rows for part in parts))


def finish_column(
    column: TableColumn, table: Table, filled: Filled, *, told: Mapping[str, JsonValue]
) -> None:
    """Write the file that names those of all shards.

    Args:
        filled: of all parts.
        told: besides the name and the settings.
    Raises:
        DataError: the folder cannot be written.
    """
    parts = dict(column.listed(*one) for one in zip(table.parts, filled.made, strict=True))
    about = {"name": column.folder.name, **column.settings, **told, "parts": parts}
    write_file(column.folder / column.about_name, f"{json.dumps(about, indent=1)}\n".encode())
