"""``vlsuite curate scan``: shards to a table of what is in them."""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.curation.scan_settings import ScanSettings
from data_pipelines.options import option
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, positive, read_options

HELP = """\
read shards once and write a table with a row for every sample

  vlsuite curate scan data/pairs --workers 8
  vlsuite curate scan 'pairs/{00000..01287}.tar' --out table --language lid176 --phash scaled

Columns: uid, shard, row, sizes, aspect, the first caption and its lengths, SHA-256 of the picture,
what is wrong with it (a bad sample is a row with a verdict, never lost); language and perceptual
hash where they are asked for. A scan that was stopped goes on; shards that changed are read again.
The table is the same, byte for byte, for any number of workers.

Pictures are judged by their headers and ends. --decode looks at every pixel and costs ten times as
much.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """Which shards are scanned, and where to."""

    paths: tuple[str, ...] = option(
        "tar, folder of tars, or pattern such as '{00000..00127}.tar'",
        positional=True,
        metavar="SHARDS",
    )
    out: Path | None = option(
        "folder of the table (default: 'curation' beside the shards)", default=None, metavar="DIR"
    )
    workers: int = option("processes that share the shards", default=1, reader=positive)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    add_options(parser, Scan)
    add_options(parser, ScanSettings)


def run(args: argparse.Namespace) -> int:
    """Write the table; returns the exit code."""
    from data_pipelines.curation.scan import scan

    options = read_options(args, Scan)
    report = scan(
        options.paths,
        settings=read_options(args, ScanSettings),
        out_dir=options.out,
        workers=options.workers,
        progress=_progress,
    )
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
        f"({report.num_read:,} read now) -> {report.folder}"
    )
    for verdict, number in report.verdicts.items():
        print(f"  {number:,} x {verdict}")
    if report.num_problems:
        print(
            f"  note: the tars have {counted(report.num_problems, 'problem')} of their own, whose "
            "samples are not in the table; 'vlsuite data validate' lists them"
        )
    return 0


def _progress(shards: Iterable) -> Iterator:
    from tqdm import tqdm

    return iter(tqdm(shards, unit=" shards", leave=False, disable=None))
