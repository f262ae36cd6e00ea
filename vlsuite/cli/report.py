"""``vlsuite report``: one HTML page of a run."""

import argparse
from pathlib import Path

HELP = """\
one self-contained HTML page of a run: curves, results, examples

  vlsuite report runs/first
  vlsuite report results --out robustness.html
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument(
        "run_dir", metavar="RUN_DIR", type=Path, help="run folder, or a folder of result files"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the page (default: RUN_DIR/report.html)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page and name it.

    Raises:
        UserError: nothing to report in the folder, or the page cannot be written.
    """
    from eval.report.build import build_report

    print(f"report: {build_report(args.run_dir, args.out)}")
    return 0
