"""``vlsuite curate why``: what became of one sample."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, read_options

HELP = """\
say what became of a sample in a run: kept, or dropped by which stage and why

  vlsuite curate why 5f1c09aa31be0c1f5f1c09aa31be0c1f curated
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Why:
    """Which sample of which run."""

    uid: str = option(
        "of the sample, or 8 letters and more of its beginning", positional=True, metavar="UID"
    )
    run: Path = option("folder of 'vlsuite curate run'", positional=True, metavar="DIR")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    add_options(parser, Why)


def run(args: argparse.Namespace) -> int:
    """Print the fate; returns the exit code."""
    from data_pipelines.curation.why import why

    options = read_options(args, Why)
    fates = list(why(options.uid, options.run))
    tell(fates=fates)
    for fate in fates:
        print(fate.told())
    return 0
