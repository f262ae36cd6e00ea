"""The parts of a table: written or found by any number of processes, and named by one file."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.scan_shard import (
    FORMAT_VERSION,
    ScannedShard,
    part_name,
    scan_shard,
)
from data_pipelines.errors import DataError, ShardError
from data_pipelines.shards.atomic import make_folder, write_file
from data_pipelines.shards.new_folders import no_empty_folders
from data_pipelines.shards.shard_set import Shard
from data_pipelines.subsets.pool import shards_at
from data_pipelines.workers.shared_storage import await_file
from data_pipelines.workers.spread import Finished, Workers, in_order, spread

#: Names inside the folder of a table; the folder's own name beside the shards.
TABLE_NAME, SAMPLES, DEFAULT_FOLDER = "table.json", "samples", "curation"

_NAMED_ERRORS = 3

#: Of shards as they are finished.
Progress = Callable[[Iterable[Finished]], Iterable[Finished]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanReport:
    """What a scan found.

    Args:
        folder: of the table.
        num_read: shards that were read now; the others' parts were there.
        num_problems: of the tars themselves.
        verdicts: number of samples by what is wrong with them ("ok": nothing).
    """

    folder: Path
    num_shards: int
    num_read: int
    num_samples: int
    num_problems: int
    verdicts: dict[str, int]


@contextmanager
def prepared(
    paths: str | Path | Iterable[str | Path], out_dir: Path | None
) -> Iterator[tuple[list[Shard], Path]]:
    """The shards and the folder of their table, which is made where it is missing.

    Where the block fails before anything is in the folder, it goes again.

    Raises:
        ShardError: there are no shards.
        DataError: some share a name, or the folder cannot be made.
    """
    shards, folder = located(paths, out_dir)
    with no_empty_folders(folder):
        make_folder(folder / SAMPLES)
        yield shards, folder


def located(
    paths: str | Path | Iterable[str | Path], out_dir: Path | None
) -> tuple[list[Shard], Path]:
    """The shards, by paths that hold in other processes too, and the folder of their table."""
    shards = shards_at([paths] if isinstance(paths, str | Path) else paths)
    folder = out_dir or _default_folder(shards)
    _refuse_equal_names(shards)
    return [_absolute(shard) for shard in shards], folder


def _absolute(shard: Shard) -> Shard:
    return Path(os.path.abspath(shard)) if isinstance(shard, Path) else shard


def scanned(
    shards: Sequence[Shard],
    folder: Path,
    settings: ScanSettings,
    workers: Workers,
    progress: Progress,
    *,
    only_stored: bool = False,
) -> list[ScannedShard]:
    """In the order of the shards, whatever the order in which they were finished.

    Raises:
        ShardError: some cannot be read.
    """
    own = Path(os.path.abspath(folder / SAMPLES))
    # a copy: the loaded language model is of each process's own
    one = partial(scan_shard, folder=own, settings=_elsewhere(settings), only_stored=only_stored)
    finished = []
    for done in progress(spread(one, shards, workers=workers)):
        if workers.ray and not done.result.error:
            await_file(own / done.result.part, done.result.bytes)
        finished.append(done)
    found = in_order(finished)
    _refuse_errors(found)
    return found


def _elsewhere(settings: ScanSettings) -> ScanSettings:
    """Settings for processes that run in another folder."""
    model = settings.language_model
    return replace(settings, language_model=model and Path(os.path.abspath(model)))


def finish_table(folder: Path, found: Sequence[ScannedShard], identity: dict) -> ScanReport:
    """Write the file that makes parts a table, and remove parts of other shards."""
    _remove_others(folder / SAMPLES, {one.part for one in found})
    report = report_of(folder, found)
    _write_table(folder, found, identity, report)
    return report


def _default_folder(shards: Sequence[Shard]) -> Path:
    folders = sorted({path.parent for path in shards if isinstance(path, Path)})
    if not all(isinstance(shard, Path) for shard in shards):
        raise DataError("the shards lie on remote storage; name the folder of their table by --out")
    if len(folders) > 1:
        raise DataError(
            f"the shards lie in {len(folders)} folders ({folders[0]}, {folders[1]}...); name the "
            "folder of their table by --out, or scan each folder"
        )
    return folders[0] / DEFAULT_FOLDER


def _refuse_equal_names(shards: Sequence[Shard]) -> None:
    parts: dict[str, Shard] = {}
    for shard in shards:
        first = parts.setdefault(part_name(shard), shard)
        if first != shard:
            places = [s if isinstance(s, Path) else s.url for s in (first, shard)]
            raise DataError(
                f"{places[0]} and {places[1]} share a name, by which tables and subsets know "
                "them; scan their folders apart, or rename one"
            )


def drop_table(folder: Path) -> None:
    """Remove what does not hold while parts change.

    Raises:
        DataError: the folder cannot be written.
    """
    try:
        (folder / TABLE_NAME).unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror}; choose another --out") from error


def _refuse_errors(found: Sequence[ScannedShard]) -> None:
    broken = [one for one in found if one.error]
    if broken:
        told = "; ".join(one.error for one in broken[:_NAMED_ERRORS])
        raise ShardError(
            f"{len(broken)} of {len(found)} shards cannot be read, the others are scanned: {told}; "
            "mend them or name the shards without them, and run it again"
        )


def _remove_others(folder: Path, parts: set[str]) -> None:
    """Parts of shards that the table does not have any more."""
    for path in folder.glob("*.parquet"):
        if path.name not in parts:
            path.unlink()


def report_of(folder: Path, found: Sequence[ScannedShard]) -> ScanReport:
    """Counts over shards."""
    verdicts: Counter[str] = Counter()
    for one in found:
        verdicts.update(one.verdicts or {})
    return ScanReport(
        folder=folder,
        num_shards=len(found),
        num_read=sum(one.is_new for one in found),
        num_samples=sum(one.rows for one in found),
        num_problems=sum(one.num_problems for one in found),
        verdicts=dict(sorted(verdicts.items())),
    )


def _write_table(
    folder: Path, found: Sequence[ScannedShard], identity: dict, report: ScanReport
) -> None:
    stored = {
        "format_version": FORMAT_VERSION,
        "tool": "vlsuite",
        "settings": identity,
        "samples": report.num_samples,
        "verdicts": report.verdicts,
        "shards": [
            {
                "name": one.shard,
                "content": one.content,
                "rows": one.rows,
                "part": one.part,
                "bytes": one.bytes,
                "sha256": one.sha256,
            }
            for one in found
        ],
    }
    text = json.dumps(stored, indent=1, ensure_ascii=True)
    write_file(folder / TABLE_NAME, f"{text}\n".encode())
