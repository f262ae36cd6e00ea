"""``vlsuite curate run``: a recipe of filters over a table."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.cli.shard_progress import stage_progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data_pipelines.curation.run import RunReport
    from data_pipelines.schema import JsonValue

HELP = """\
filter the table of a scan by a recipe, and write what became of every sample

  vlsuite curate run datacomp-basic data/pairs --out curated
  vlsuite curate run my.toml table --out curated --set caption-length.min_words=4
  vlsuite curate run --list                                 recipes and filters with their settings

A recipe is a small TOML file:

  [[stage]]
  filter = "caption-length"
  min_words = 3

  [[stage]]
  filter = "exact-duplicates"

Every run begins with the stage 'readable' (unreadable pictures, missing captions, second samples
of one uid). At every stage dropped and kept add up to what it was given, or nothing is written.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Which recipe runs over which table."""

    recipe: str = option(
        "name of a recipe, or path of a TOML file", positional=True, default="", metavar="RECIPE"
    )
    table: Path | None = option(
        "folder of a table, or of the shards beside it",
        positional=True,
        default=None,
        metavar="TABLE",
    )
    out: Path | None = option("folder to write", default=None, metavar="DIR")
    set: tuple[str, ...] = option(
        "change a setting of a stage",
        default=(),
        repeated=True,
        metavar="STAGE.SETTING=VALUE",
    )
    overwrite: bool = option("replace another run that --out holds", default=False)
    memory: int | None = option(
        "MB that the database may use (default: 80% of the machine)",
        default=None,
        reader=positive,
        metavar="MB",
    )
    threads: int | None = option(
        "of the database (default: all cores)", default=None, reader=positive
    )
    list: bool = option("show all recipes and filters, and do nothing", default=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    add_options(parser, Run)


def run(args: argparse.Namespace) -> int:
    """Run the recipe; returns the exit code."""
    from data_pipelines.curation.places import TABLE_PLACE, note_places
    from data_pipelines.curation.recipe import load_recipe
    from data_pipelines.curation.run import run_recipe
    from data_pipelines.curation.table import open_table
    from vlsuite.errors import ConfigError

    options = read_options(args, Run)
    if options.list:
        return _list()
    if not options.recipe or options.table is None or options.out is None:
        raise ConfigError(
            "a run wants RECIPE, TABLE and --out DIR, as in 'vlsuite curate run datacomp-basic "
            "data/pairs --out curated'; --list shows the recipes"
        )
    table = open_table(options.table)
    report = run_recipe(
        load_recipe(options.recipe, overrides=options.set),
        table,
        options.out,
        overwrite=options.overwrite,
        memory=options.memory and options.memory * 10**6,
        threads=options.threads,
        progress=stage_progress,
    )
    note_places(options.out, TABLE_PLACE, [table.folder])
    _show(report)
    return 0


def _show(report: "RunReport") -> None:
    tell(
        folder=report.out_dir,
        num_samples=report.num_samples,
        num_kept=report.num_kept,
        stages=report.stages,
        was_there=report.was_there,
    )
    if report.was_there:
        print("this run was there already; nothing was done")
    for stage in report.stages:
        print(f"{stage.stage}: {stage.given:,} -> {stage.kept:,}")
        for reason, number in sorted(stage.reasons.items(), key=lambda one: -one[1]):
            print(f"  {number:,} x {reason}")
        for line in _figures(stage.figures):
            print(f"  {line}")
        for warning in stage.warnings:
            print(f"warning: {stage.stage}: {warning}", file=sys.stderr)
    share = report.num_kept / report.num_samples if report.num_samples else 0.0
    print(f"kept {report.num_kept:,} of {report.num_samples:,} ({share:.1%}) -> {report.out_dir}")


def _figures(figures: "Mapping[str, JsonValue]") -> Iterator[str]:
    """What a stage measured, a line a figure; the rows of a table a line each."""
    for name, figure in figures.items():
        if isinstance(figure, list) and all(isinstance(row, dict) for row in figure):
            yield f"{name}:"
            for row in figure:
                assert isinstance(row, dict)
                yield "  " + ", ".join(f"{key} {_figure(value)}" for key, value in row.items())
        else:
            yield f"{name}: {_figure(figure)}"


def _figure(value: "JsonValue") -> str:
    if isinstance(value, list):
        return " to ".join(map(_figure, value))
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _list() -> int:
    from data_pipelines.curation.filter import filters
    from data_pipelines.curation.recipe import load_recipe, recipe_names
    from vlsuite.cli.component_list import print_components

    about = {name: load_recipe(name).about for name in recipe_names()}
    tell(recipes=about, filters=[entry.name for entry in filters.listed()])
    print("recipes")
    for name, told in about.items():
        print(f"  {name}: {told}")
    print("filters")
    print_components(filters)
    return 0
