"""``vlsuite report``: one HTML page of a run."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_data
from vlsuite.cli.options import add_options, read_options
from vlsuite.cli.outputs import refuse_unwritable
from vlsuite.cli.shard_progress import shard_progress
from vlsuite.errors import ConfigError

HELP = """\
one self-contained HTML page of a run: curves, results, examples

  vlsuite report runs/first
  vlsuite report results --out robustness.html
  vlsuite report curated                        a run of 'vlsuite curate run': what went, and why
  vlsuite report curated --table table --data 'pairs/*.tar'    where they were moved since
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOptions:
    """What is reported, and where to."""

    run_dir: Path = option(
        "run folder of training or curation, or a folder of result files",
        positional=True,
        metavar="RUN_DIR",
    )
    out: Path | None = option(
        "the page (default: RUN_DIR/report.html)", default=None, metavar="FILE"
    )
    table: Path | None = option(
        "of a curation run: folder of its table (default: where the run found it)",
        default=None,
        metavar="DIR",
    )
    data: tuple[str, ...] = option(
        "of a curation run: its shards, for pictures (default: where the scan found them)",
        default=(),
        repeated=True,
        metavar="SHARDS",
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_options(parser, ReportOptions)


def run(args: argparse.Namespace) -> int:
    """Write the page and name it.

    Raises:
        UserError: nothing to report in the folder, or the page cannot be written.
    """
    options = read_options(args, ReportOptions)
    refuse_missing_data([options.run_dir])
    if options.out is None and options.run_dir.is_dir():
        refuse_unwritable(options.run_dir / "report.html", is_folder=False)
    page = _page(options)
    tell(report=page)
    print(f"report: {page}")
    return 0


def _page(options: ReportOptions) -> Path:
    from data_pipelines.curation.run_files import LINEAGE, RUN_NAME

    folder = options.run_dir
    if (folder / RUN_NAME).is_file() or (folder / LINEAGE).is_dir():
        from eval.curation.page import build_curation_report

        return build_curation_report(
            folder,
            options.out,
            table=options.table,
            data=options.data,
            progress=lambda sections: shard_progress(sections, unit="sections"),
        )
    if options.table or options.data:
        raise ConfigError(
            f"--table and --data are of curation runs, and {folder} is none; leave them out"
        )
    from eval.report.build import build_report

    return build_report(folder, options.out)
