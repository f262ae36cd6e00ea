"""``vlsuite curate diff``: what changed between two runs."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, positive, read_options

HELP = """\
say which samples two runs decide differently, and what made them do so

  vlsuite curate diff curated curated-2
  vlsuite curate diff curated curated-2 --out changed.parquet    every such sample, with both fates
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Diff:
    """Which runs are compared."""

    first: Path = option("folder of 'vlsuite curate run'", positional=True, metavar="FIRST")
    second: Path = option("another", positional=True, metavar="SECOND")
    out: Path | None = option(
        "write every sample whose membership changed", default=None, metavar="PARQUET"
    )
    rows: int = option("changes shown", default=20, reader=positive)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    add_options(parser, Diff)


def run(args: argparse.Namespace) -> int:
    """Print the difference; returns the exit code."""
    from data_pipelines.curation.difference import difference

    options = read_options(args, Diff)
    found = difference(options.first, options.second, out=options.out)
    first, second, both = found.kept
    tell(
        kept={"first": first, "second": second, "both": both},
        made_from=found.made_from,
        changes=found.changes,
        other_reasons=found.other_reasons,
        out=options.out,
    )
    print(f"kept: {first:,} before, {second:,} after, {both:,} in both")
    print("what differs in what they were made from")
    for line in found.made_from or ("nothing",):
        print(f"  {line}")
    if found.changes:
        print("what became of the samples")
    for change in found.changes[: options.rows]:
        print(f"  {change.number:,} x {change.before} -> {change.after} (as {change.example})")
        print(f"      {change.because}")
    if len(found.changes) > options.rows:
        print(f"  and {len(found.changes) - options.rows:,} more kinds of change (--rows)")
    if found.other_reasons:
        print(f"  {found.other_reasons:,} were dropped by both, for different reasons")
    if options.out is not None:
        print(f"every sample whose membership changed -> {options.out}")
    return 0
