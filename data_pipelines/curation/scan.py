"""Shards to a table of what is in them, each shard read once, by any number of processes.

The table is a folder: ``samples/NAME.parquet`` for each shard, and ``table.json``, written last,
which names them with their digests. A scan that was stopped goes on where it stopped, and reads
shards again that changed since; the bytes are the same however often it was stopped and by however
many processes it ran.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.curation.scan_shard import (
    FORMAT_VERSION,
    ScannedShard,
    part_name,
    scan_shard,
)
from data_pipelines.end_with_parent import end_with_parent
from data_pipelines.errors import DataError, ShardError
from data_pipelines.shards.atomic import make_folder, remove_unfinished, write_file
from data_pipelines.shards.find import find_shards

#: Names inside the folder of a table; the folder's own name beside the shards.
TABLE_NAME, SAMPLES, DEFAULT_FOLDER = "table.json", "samples", "curation"

_NAMED_ERRORS = 3


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


def scan(
    paths: str | Path | Iterable[str | Path],
    *,
    settings: ScanSettings,
    out_dir: Path | None = None,
    workers: int = 1,
    progress: Callable[[Iterable], Iterable] = iter,
) -> ScanReport:
    """Write the table of the shards behind ``paths`` (see ``find_shards``).

    Args:
        out_dir: folder of the table; None: "curation" in the folder of the shards.
        workers: processes that share the shards.
        progress: wraps the shards as they are finished.
    Raises:
        ShardError: there are no shards, or some cannot be read; the others' parts are then kept.
        DataError: shards share a name, or the folder cannot be written.
        ConfigError: what is asked for needs a library that is not installed.
    """
    shards = find_shards(paths)
    folder = out_dir or _default_folder(shards)
    _refuse_equal_names(shards)
    identity = settings.identity()
    make_folder(folder / SAMPLES)
    remove_unfinished(folder / SAMPLES)
    _drop_table(folder)
    found = list(progress(_scanned(shards, folder / SAMPLES, settings, workers)))
    _refuse_errors(found)
    _remove_others(folder / SAMPLES, {one.part for one in found})
    report = _report(folder, found)
    _write_table(folder, found, identity, report)
    return report


def _scanned(
    shards: Sequence[Path], folder: Path, settings: ScanSettings, workers: int
) -> Iterator[ScannedShard]:
    # a copy: the loaded language model is of each process's own
    one = partial(scan_shard, folder=folder, settings=replace(settings))
    if workers <= 1 or len(shards) == 1:
        yield from map(one, shards)
        return
    # Spawned, not forked: the caller may run threads.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=end_with_parent
    ) as pool:
        yield from pool.map(one, shards)


def _default_folder(shards: Sequence[Path]) -> Path:
    folders = sorted({path.parent for path in shards})
    if len(folders) > 1:
        raise DataError(
            f"the shards lie in {len(folders)} folders ({folders[0]}, {folders[1]}...); name the "
            "folder of their table by --out, or scan each folder"
        )
    return folders[0] / DEFAULT_FOLDER


def _refuse_equal_names(shards: Sequence[Path]) -> None:
    parts: dict[str, Path] = {}
    for path in shards:
        first = parts.setdefault(part_name(path), path)
        if first != path:
            raise DataError(
                f"{first} and {path} share a name, by which tables and subsets know them; scan "
                "their folders apart, or rename one"
            )


def _drop_table(folder: Path) -> None:
    """What does not hold while parts change."""
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


def _report(folder: Path, found: Sequence[ScannedShard]) -> ScanReport:
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
