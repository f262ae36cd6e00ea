"""``vlsuite curate``: choose what to train on, and keep account of every sample."""

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from vlsuite.cli import curate_reshard, curate_subset

HELP = """\
choose what to train on: subsets as views, resharding

  vlsuite curate subset data/pool --from kept.parquet --out clean.subset
  vlsuite curate subset --show clean.subset
  vlsuite curate reshard data/pool --subset clean.subset --out data/clean
"""

_ACTIONS = {"subset": curate_subset, "reshard": curate_reshard}
_REPORT_EVERY = 5.0  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``vlsuite curate`` and of its actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, module in _ACTIONS.items():
        action = actions.add_parser(
            name,
            help=module.HELP.splitlines()[0],
            description=module.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(action)


def run(args: argparse.Namespace) -> int:
    """Do the chosen action; returns the exit code."""
    return _ACTIONS[args.action].run(args, progress=_progress)


def _progress(work: Iterable[Any]) -> Iterator[Any]:
    """Counts of shards on stderr, with the time that is left."""
    total = len(work) if isinstance(work, list) else None
    started = last = time.monotonic()
    for done, one in enumerate(work):
        yield one
        now = time.monotonic()
        if now - last > _REPORT_EVERY:
            last = now
            left = f" of {total:,}, {(now - started) / (done + 1) * (total - done - 1):.0f} s left"
            print(f"{done + 1:,}{left if total else ''} shards", file=sys.stderr, flush=True)
