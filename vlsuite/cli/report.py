"""``vlsuite report``: one HTML page of a run."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, read_options
from vlsuite.cli.outputs import refuse_unwritable

HELP = """\
one self-contained HTML page of a run: curves, results, examples

  vlsuite report runs/first
  vlsuite report results --out robustness.html
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOptions:
    """What is reported, and where to."""

    run_dir: Path = option(
        "run folder, or a folder of result files", positional=True, metavar="RUN_DIR"
    )
    out: Path | None = option(
        "the page (default: RUN_DIR/report.html)", default=None, metavar="FILE"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_options(parser, ReportOptions)


def run(args: argparse.Namespace) -> int:
    """Write the page and name it.

    Raises:
        UserError: nothing to report in the folder, or the page cannot be written.
    """
    from eval.report.build import build_report

    options = read_options(args, ReportOptions)
    if options.out is None and options.run_dir.is_dir():
        refuse_unwritable(options.run_dir / "report.html", is_folder=False)
    page = build_report(options.run_dir, options.out)
    tell(report=page)
    print(f"report: {page}")
    return 0
