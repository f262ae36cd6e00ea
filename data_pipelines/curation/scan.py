"""Shards to a table of what is in them, each shard read once, by any number of processes.

The table is a folder: ``samples/NAME.parquet`` for each shard, and ``table.json``, written last,
which names them with their digests. A scan that was stopped goes on where it stopped, and reads
shards again that changed since; the bytes are the same however often it was stopped, by however
many processes it ran, and on however many machines.
"""

from collections.abc import Iterable
from pathlib import Path

from data_pipelines.curation.scan_parts import (
    SAMPLES,
    Progress,
    ScanReport,
    drop_table,
    finish_table,
    prepared,
    report_of,
    scanned,
)
from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.shards.atomic import remove_unfinished
from data_pipelines.shards.shard_set import name_of
from data_pipelines.workers.share import Share, refuse_missing
from data_pipelines.workers.spread import Workers


def scan(
    paths: str | Path | Iterable[str | Path],
    *,
    settings: ScanSettings,
    out_dir: Path | None = None,
    workers: int = 1,
    ray: str = "",
    progress: Progress = iter,
) -> ScanReport:
    """Write the table of the shards behind ``paths`` (see ``find_shards``), or addresses.

    Args:
        out_dir: folder of the table; None: "curation" in the folder of the shards.
        workers: processes of this machine that share the shards.
        ray: address of a Ray cluster whose nodes share them instead; shards and table must lie
            where all of them see them.
        progress: wraps the shards as they are finished.
    Raises:
        ShardError: there are no shards, or some cannot be read; the others' parts are then kept.
        DataError: shards share a name, or the folder cannot be written.
        ConfigError: what is asked for needs a library that is not installed.
    """
    identity = settings.identity()
    with prepared(paths, out_dir) as (shards, folder):
        remove_unfinished(folder / SAMPLES)
        drop_table(folder)
        found = scanned(shards, folder, settings, Workers(processes=workers, ray=ray), progress)
        return finish_table(folder, found, identity)


def scan_share(
    paths: str | Path | Iterable[str | Path],
    *,
    settings: ScanSettings,
    share: Share,
    out_dir: Path | None = None,
    workers: int = 1,
    progress: Progress = iter,
) -> ScanReport:
    """Write the parts of a share of the shards, and no table: ``merge_shares`` does that.

    Shares may run at the same time, on machines that know nothing of each other.

    Raises:
        ShardError, DataError, ConfigError: as ``scan``.
    """
    own = Workers(processes=workers)
    with prepared(paths, out_dir) as (shards, folder):
        drop_table(folder)
        return report_of(folder, scanned(share.of(shards), folder, settings, own, progress))


def merge_shares(
    paths: str | Path | Iterable[str | Path],
    *,
    settings: ScanSettings,
    out_dir: Path | None = None,
    world: int | None = None,
    workers: int = 1,
    progress: Progress = iter,
) -> ScanReport:
    """Write the table of parts that shares have written; no sample is read, nothing waited for.

    Args:
        paths, settings, out_dir: those of the shares.
        world: number of shares, to name those that have not done their part.
    Raises:
        DataError: parts are missing, of other settings, or older than their shards; the message
            names them.
    """
    identity = settings.identity()
    own = Workers(processes=workers)
    with prepared(paths, out_dir) as (shards, folder):
        found = scanned(shards, folder, settings, own, progress, only_stored=True)
        missing = [number for number, one in enumerate(found) if one.is_missing]
        refuse_missing(missing, list(map(name_of, shards)), folder=folder, world=world)
        remove_unfinished(folder / SAMPLES)
        return finish_table(folder, found, identity)
