"""``vlsuite curate reshard``: write the samples of a subset as shards of their own."""

import argparse
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.options import option
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.cli.shard_progress import shard_progress

HELP = """\
write the samples of a subset as shards of their own

  vlsuite curate reshard data/pool --subset clean.subset --out data/clean
  vlsuite curate reshard 's3://bucket/pool/{00000..00999}.tar' --subset clean.subset --out clean

Training takes a subset without this ('vlsuite curate subset'). It pays where shards are fetched
whole and less than about half of their samples are kept. Members are copied as they are, in the
order of the shards; shards are of equal size; memory does not grow with the data; an interrupted
command goes on where it was, and gives the same bytes, with any number of --workers or on the nodes
of a cluster (--ray). Samples keep their uids.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReshardOptions:
    """What is written, and how.

    Args:
        paths: all shards that the subset was made for: tars, folders, patterns or addresses.
        subset: of 'vlsuite curate subset'.
        out: folder to write.
        prefix: of the names of the shards.
        shard_samples: samples of one shard at most.
        shard_bytes: bytes of one shard, about.
        overwrite: replace a set of ours in --out.
        workers: processes that share the new shards.
        ray: Ray cluster whose nodes share them instead, auto or HOST:6379 (extra 'ray').
    """

    paths: tuple[str, ...] = option(positional=True, metavar="SHARDS")
    subset: Path = option(metavar="FILE")
    out: Path = option(metavar="DIR")
    prefix: str = "shard"
    shard_samples: int = option(default=10_000, reader=positive)
    shard_bytes: int = option(default=1_000_000_000, reader=positive)
    overwrite: bool = False
    workers: int = option(default=1, reader=positive)
    ray: str = option(default="", metavar="ADDRESS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``vlsuite curate reshard``."""
    add_options(parser, ReshardOptions)


def run(args: argparse.Namespace) -> int:
    """Write the shards."""
    from data_pipelines.subsets.pool import open_pool
    from data_pipelines.subsets.reshard import reshard
    from data_pipelines.subsets.subset_file import read_subset
    from data_pipelines.workers.spread import Workers

    options = read_options(args, ReshardOptions)
    subset = read_subset(options.subset)
    written = reshard(
        open_pool(options.paths),
        subset,
        options.out,
        name=str(options.subset),
        prefix=options.prefix,
        max_samples=options.shard_samples,
        max_bytes=options.shard_bytes,
        overwrite=options.overwrite,
        created_by=_command(options),
        workers=Workers(processes=options.workers, ray=options.ray),
        progress=shard_progress,
    )
    if written.num_kept_shards:
        told = counted(written.num_kept_shards, "shard")
        print(f"{told} were finished by an earlier call", file=sys.stderr)
    if written.num_repeated:
        print(
            f"warning: {written.num_repeated:,} samples have a uid that another one has too; they "
            "are one sample to whatever remembers samples",
            file=sys.stderr,
        )
    manifest = written.manifest
    tell(
        folder=options.out,
        num_samples=manifest.num_samples,
        num_shards=len(manifest.shards),
        num_bytes=manifest.num_bytes,
        num_repeated=written.num_repeated,
    )
    print(
        f"{options.out}: {counted(manifest.num_samples, 'sample')} in "
        f"{counted(len(manifest.shards), 'shard')}, {manifest.num_bytes:,} bytes"
    )
    return 0


def _command(options: ReshardOptions) -> str:
    words = ["vlsuite", "curate", "reshard", *options.paths, "--subset", str(options.subset)]
    words += ["--shard-samples", str(options.shard_samples)]
    return " ".join(map(shlex.quote, words))
