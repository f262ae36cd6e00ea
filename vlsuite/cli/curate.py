"""``vlsuite curate``: choose samples of shards, and account for every one of them."""

import argparse
from collections.abc import Callable
from typing import Any

from vlsuite.cli import (
    curate_clean,
    curate_diff,
    curate_embed,
    curate_reshard,
    curate_rewrite,
    curate_run,
    curate_scan,
    curate_score,
    curate_subset,
    curate_why,
)

HELP = """\
choose which samples of shards to train on, and know why each one went

  vlsuite curate scan data/pairs --workers 8       read the shards once: a table of all samples
  vlsuite curate score data/pairs --model runs/first   how well picture and caption agree
  vlsuite curate embed data/pairs --model runs/first   vectors, to find what looks alike
  vlsuite curate rewrite data/pairs --endpoint URL --model M --style medium --yes
                                                   captions in other words, as another column
  vlsuite curate clean data/pairs --out cleaned    credits and numbers off captions, as a column
  vlsuite curate run datacomp-basic data/pairs --out curated
                                                   filter the table; no shard is read again
  vlsuite curate why 5f1c09aa31be... curated       what became of one sample, and why
  vlsuite curate diff curated curated-2            what changed between two runs, and why
  vlsuite curate subset data/pairs --from curated/kept.parquet --out clean.subset
                                                   a view of the shards: one bit a sample
  vlsuite curate reshard data/pairs --subset clean.subset --out data/clean
                                                   these samples as shards of their own

The table is Parquet beside the shards ('curation' in their folder), for DuckDB, pandas and the like
too. A run writes kept.parquet (uid, shard, row) and the fate of every sample (lineage/).
"""

_ACTIONS: dict[str, Any] = {
    "scan": curate_scan,
    "score": curate_score,
    "embed": curate_embed,
    "rewrite": curate_rewrite,
    "clean": curate_clean,
    "run": curate_run,
    "why": curate_why,
    "diff": curate_diff,
    "subset": curate_subset,
    "reshard": curate_reshard,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``vlsuite curate`` and of its actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, module in _ACTIONS.items():
        inner = actions.add_parser(
            name,
            help=module.HELP.splitlines()[0],
            description=module.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(inner)


def run(args: argparse.Namespace) -> int:
    """Do the chosen action; returns the exit code."""
    chosen: Callable[[argparse.Namespace], int] = _ACTIONS[args.action].run
    return chosen(args)
