"""``vlsuite curate``: choose samples of shards, and account for every one of them."""

import argparse
from collections.abc import Callable
from typing import Any

from vlsuite.cli import curate_reshard, curate_subset

HELP = """\
choose which samples of shards to train on, and know why each one went

  vlsuite curate subset data/pairs --from curated/kept.parquet --out clean.subset
                                                   a view of the shards: one bit a sample
  vlsuite curate reshard data/pairs --subset clean.subset --out data/clean
                                                   these samples as shards of their own
"""

_ACTIONS: dict[str, Any] = {
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
