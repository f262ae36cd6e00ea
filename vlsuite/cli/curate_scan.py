"""``vlsuite curate scan``: shards to a table of what is in them."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.options import option
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.curate_sharing import Sharing, refuse_both
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.cli.shard_progress import shard_progress

if TYPE_CHECKING:
    from data_pipelines.curation.scan_parts import ScanReport

HELP = """\
read shards once and write a table with a row for every sample

  vlsuite curate scan data/pairs --workers 8
  vlsuite curate scan 'pairs/{00000..01287}.tar' --out table --language lid176 --phash scaled
  vlsuite curate scan 's3://bucket/pairs/{00000..01287}.tar' --out table --workers 8
  vlsuite curate scan data/pairs --estimate --workers 8        what it would cost, from a few shards
  vlsuite curate scan /shared/pairs --out /shared/table --ray auto        on a Ray cluster
  vlsuite curate scan /shared/pairs --out /shared/table --rank $SLURM_ARRAY_TASK_ID --world 64
  vlsuite curate scan /shared/pairs --out /shared/table --merge --world 64    after the array

Columns: uid, shard, row, sizes, aspect, the first caption and its lengths, SHA-256 of the picture,
what is wrong with it (a bad sample is a row with a verdict, never lost); language and perceptual
hash where they are asked for. A scan that was stopped goes on; shards that changed are read again.
The table is the same, byte for byte, for any number of workers, nodes and ranks. --merge reads no
sample and waits for nothing: it names the parts that are missing, and the ranks they are of.

Pictures are judged by their headers and ends. --decode looks at every pixel and costs ten times as
much.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """Which shards are scanned, and where to."""

    paths: tuple[str, ...] = option(
        "tar, folder of tars, pattern such as '{00000..00127}.tar', or the same behind an address",
        positional=True,
        metavar="SHARDS",
    )
    out: Path | None = option(
        "folder of the table (default: 'curation' beside the shards)", default=None, metavar="DIR"
    )
    workers: int = option("processes that share the shards", default=1, reader=positive)
    estimate: bool = option("time a few shards and tell what the scan would cost", default=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    add_options(parser, Scan)
    add_options(parser, Sharing)
    add_options(parser, ScanSettings)


def run(args: argparse.Namespace) -> int:
    """Write the table; returns the exit code."""
    from data_pipelines.curation.places import SHARD_PLACES, note_places

    options, settings = read_options(args, Scan), read_options(args, ScanSettings)
    sharing = read_options(args, Sharing)
    if options.estimate:
        modes = {"--ray": sharing.ray, "--rank": sharing.share, "--merge": sharing.merge}
        refuse_both(["--estimate", *(name for name, is_on in modes.items() if is_on)])
        return _estimate(options, settings)
    report = _scan(options, sharing, settings)
    note_places(report.folder, SHARD_PLACES, options.paths)
    tell(
        table=report.folder,
        num_samples=report.num_samples,
        num_shards=report.num_shards,
        num_shards_read_now=report.num_read,
        verdicts=report.verdicts,
        num_problems=report.num_problems,
    )
    print(
        f"{counted(report.num_samples, 'sample')} in {counted(report.num_shards, 'shard')} "
        f"({report.num_read:,} read now{sharing.told}) -> {report.folder}"
    )
    for verdict, number in report.verdicts.items():
        print(f"  {number:,} x {verdict}")
    if report.num_problems:
        print(
            f"  note: the tars have {counted(report.num_problems, 'problem')} of their own, whose "
            "samples are not in the table; 'vlsuite data validate' lists them"
        )
    return 0


def _scan(options: Scan, sharing: Sharing, settings: ScanSettings) -> "ScanReport":
    from data_pipelines.curation.scan import merge_shares, scan, scan_share

    known: dict[str, Any] = {
        "settings": settings,
        "out_dir": options.out,
        "workers": options.workers,
        "progress": shard_progress,
    }
    if sharing.merge:
        return merge_shares(options.paths, world=sharing.world, **known)
    if sharing.share is not None:
        return scan_share(options.paths, share=sharing.share, **known)
    return scan(options.paths, ray=sharing.ray, **known)


def _estimate(options: Scan, settings: ScanSettings) -> int:
    from data_pipelines.curation.estimate import estimate_scan

    found = estimate_scan(
        options.paths,
        settings=settings,
        out_dir=options.out,
        workers=options.workers,
        progress=shard_progress,
    )
    lines = found.told()
    tell(estimate=found, told=lines)
    for name, told in lines.items():
        print(f"{name:9}{told}")
    return 0
