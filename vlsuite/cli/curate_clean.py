"""``vlsuite curate clean``: credits and running numbers off the ends of captions."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.options import option
from data_pipelines.texts import counted
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.cli.shard_progress import shard_progress

HELP = """\
take credits and running numbers off the ends of captions, as another caption column

  vlsuite curate clean data/pairs --out cleaned              find what captions end in, take it off
  vlsuite curate clean data/pairs --out cleaned --numbers    "signal flag 6" too
  vlsuite curate clean data/pairs --out again --names cleaned/endings.tsv       as you edited them
  vlsuite train RECIPE --set data.train=data/pairs --set data.captions=cleaned

File names and alternative texts end in who made a picture or where it is from ("tennis shoe ada
byron 01", "harbour at dawn stock photo"). Such endings follow many different things and begin no
caption; they are found among the captions themselves. Read endings.tsv before you train: what it
names that is no credit, delete, and give the file with --names.

Reads the table of 'vlsuite curate scan', no shard. Every sample's caption is in captions/*.parquet:
as it was, what is left, and what was taken off. A caption is never emptied.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clean:
    """Which captions are cleaned, and of what."""

    table: Path = option("folder of a table, or of the shards beside it", positional=True)
    out: Path = option("folder to write", metavar="DIR")
    names: Path | None = option(
        "endings to take off in place of those that are found, one a line",
        default=None,
        metavar="FILE",
    )
    numbers: bool = option("take numbers off ends that have no credit too", default=False)
    pair_heads: int = option(
        "different beginnings that an ending of two words must follow", default=3, reader=positive
    )
    word_heads: int = option(
        "different beginnings that an ending of one word must follow", default=20, reader=positive
    )
    overwrite: bool = option("replace another cleaning that --out holds", default=False)
    rows: int = option("endings shown", default=10, reader=positive)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    add_options(parser, Clean)


def run(args: argparse.Namespace) -> int:
    """Write the column; returns the exit code."""
    from data_pipelines.curation.cleaning.clean_table import (
        ENDINGS_NAME,
        CleaningSettings,
        clean_table,
    )
    from data_pipelines.curation.cleaning.recurring_endings import EndingSettings
    from data_pipelines.curation.table import open_table

    options = read_options(args, Clean)
    endings = EndingSettings(pair_heads=options.pair_heads, word_heads=options.word_heads)
    done = clean_table(
        open_table(options.table),
        options.out,
        CleaningSettings(endings=endings, names=options.names, numbers=options.numbers),
        overwrite=options.overwrite,
        progress=shard_progress,
    )
    for one in done.endings.found[: options.rows]:
        follows = f"  follows {one.heads:,} different texts" if one.heads else ""
        print(f"  {' '.join(one.words)}{follows}")
    print(f"{counted(len(done.endings.found), 'ending')} -> {options.out / ENDINGS_NAME}")
    print(
        f"{done.num_changed:,} captions cleaned, {done.num_unchanged:,} left as they were, "
        f"{done.num_without:,} samples without one -> {options.out}"
    )
    return 0
