"""The table and the shards that a curation run was made from, as far as they are found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipelines.curation.places import SHARD_PLACES, TABLE_PLACE, stored_places
from data_pipelines.curation.run_files import stored_run
from data_pipelines.curation.table import Table, open_table
from data_pipelines.errors import DataError
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.remote import is_remote


@dataclass(frozen=True, kw_only=True)
class FoundRun:
    """A finished run and what it was made from.

    Args:
        stored: what its run.json says.
        table: None where it is not found, or is another one than that of the run.
        shards: by file name; empty where they are not found.
        remarks: what a reader has to know about that.
    """

    folder: Path
    stored: Mapping[str, Any]
    table: Table | None
    shards: Mapping[str, Path]
    remarks: tuple[str, ...]

    def opened(self, shard: str) -> ShardIndex | None:
        """A shard; None where it is not there, or not what the run saw."""
        path = self.shards.get(shard)
        if path is None:
            return None
        try:
            index = ShardIndex.open(path)
        except DataError:
            return None
        seen = {name: content for name, content, _ in self.stored["made_from"]["shards"]}
        return index if seen.get(shard) == (index.layout.content or index.layout.mark) else None


def find_run(folder: Path, *, table: Path | None = None, data: Sequence[str] = ()) -> FoundRun:
    """A finished run with its table and shards.

    Args:
        table: folder of the table; None: where the run found it.
        data: paths of the shards; none: where the scan found them.
    Raises:
        DataError: there is no finished run, or what is named is not there or another one.
    """
    stored = stored_run(folder)
    remarks: list[str] = []
    found = _table(folder, table, stored, remarks)
    shards = _shards(data, found, remarks)
    return FoundRun(
        folder=folder, stored=stored, table=found, shards=shards, remarks=tuple(remarks)
    )


def _table(
    folder: Path, named: Path | None, stored: Mapping[str, Any], remarks: list[str]
) -> Table | None:
    try:
        place = named or next(map(Path, stored_places(folder, TABLE_PLACE)), None)
        found = open_table(place) if place else None
    except DataError:
        if named:
            raise
        found = None
    if found is None:
        remarks.append(
            "The table of the scan is not found, so that what the kept samples are like, languages "
            "and captions are not shown: name its folder by --table."
        )
    elif found.sha256 != stored["made_from"]["table"]:
        if named:
            raise DataError(
                f"{named} is not the table that {folder} was made from; name that one, or run the "
                "recipe again"
            )
        remarks.append(
            f"{found.folder} was scanned anew since this run, so that what the kept samples are "
            "like, languages and captions are not shown: run the recipe again."
        )
        found = None
    return found


def _shards(data: Sequence[str], table: Table | None, remarks: list[str]) -> dict[str, Path]:
    places = list(data)
    if not places and table is not None:
        places = stored_places(table.folder, SHARD_PLACES) or [str(table.folder.parent)]
    near = [place for place in places if not is_remote(place)]
    found: list[Path] = []
    try:
        found = find_shards(near) if near else []
    except DataError:
        if data:
            raise
    if len(near) < len(places):
        remarks.append(
            "The shards lie on remote storage, from which no pictures are fetched for a page: name "
            "copies of them by --data."
        )
    elif not found:
        remarks.append(
            "The shards are not found, so that no pictures are shown: name them by --data."
        )
    return {path.name: path for path in found}
