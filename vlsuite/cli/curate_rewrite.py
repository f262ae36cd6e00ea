"""``vlsuite curate rewrite``: captions in other words, by a model behind an endpoint."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.cli.shard_progress import shard_progress

if TYPE_CHECKING:
    from data_pipelines.curation.rewriting.reports import RewriteReport

HELP = """\
say captions in other words by a model, as another caption column; the originals stay

  vlsuite curate rewrite data/pairs --endpoint http://127.0.0.1:8000/v1 --model Qwen3-8B \\
    --style medium --yes
  vlsuite curate rewrite data/pairs --endpoint https://api.openai.com/v1 --model gpt-5-mini \\
    --key-env OPENAI_API_KEY --style qa --price-in 0.25 --price-out 2 --max-cost 20
  vlsuite curate rewrite data/pairs --from curated/kept.parquet ... --prompt own.txt --name mine
  vlsuite train RECIPE --set data.train=data/pairs --set data.caption_weights=1,1 \\
    --set data.captions=own,data/pairs/curation/captions/medium

SHARDS is their folder, with the table of 'vlsuite curate scan'. Any OpenAI-compatible chat endpoint
will do (vLLM, llama.cpp, a provider). Styles are those of "Rephrasing the Web" (Maini et al. 2024):
easy, medium, hard, qa; --prompt FILE has your own words, with {caption} where the caption stands.
The model does not see the picture.

First it says how many requests, tokens and how much money it would take, and stops there unless
--yes or --max-cost (with --price-in and --price-out) is given. Each answer is on disk before the
next is taken: killed or stopped, the same command goes on and pays nothing twice; captions whose
tries ran out are asked again. Captions that occur several times in a shard are asked once.

The folder of the column has Parquet files with every sample's fate (the new caption, or why there
is none: no caption, cut, declined, filtered, refused, empty, unchanged, not chosen), and what
training reads. In training data.caption_weights says how often each column is taken.
"""

_NOT_OURS = ("style", "max_side", "audio_part", "max_tokens", "cache", "no_cache")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rewrite:
    """Whose captions are said again, by which model and how."""

    table: Path = option("folder of the shards, or of a table", positional=True, metavar="SHARDS")
    endpoint: str = option("base address, http://HOST/v1", metavar="URL")
    model: str = option("as the endpoint calls it")
    style: str | None = option("easy, medium (default), hard or qa", default=None)
    prompt: Path | None = option(
        "your own words instead, {caption} in them", default=None, metavar="FILE"
    )
    name: str | None = option("of the column (default: that of the style)", default=None)
    kept: Path | None = option(
        "kept.parquet of a run: rewrite these alone",
        default=None,
        flag="--from",
        metavar="PARQUET",
    )
    max_tokens: int = option(
        "of an answer; models that think first need more", default=160, reader=positive, metavar="N"
    )
    yes: bool = option("go on after the estimate, whatever it says", default=False)
    overwrite: bool = option("replace a column of this name that was made otherwise", default=False)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    from eval.respondents.endpoint_settings import EndpointSettings

    add_options(parser, Rewrite)
    group = parser.add_argument_group("endpoint")
    add_options(group, EndpointSettings, leave_out=_NOT_OURS)


def run(args: argparse.Namespace) -> int:
    """Write the column; returns the exit code."""
    from data_pipelines.curation.rewriting.rewrite import Rewriting
    from data_pipelines.curation.rewriting.styles import OWN, style_of
    from data_pipelines.curation.table import open_table
    from eval.respondents.caption_writer import EndpointWriter
    from eval.respondents.endpoint_settings import EndpointSettings
    from vlsuite.errors import ConfigError

    options = read_options(args, Rewrite)
    settings = read_options(args, EndpointSettings, style=None)
    style = style_of(options.style, options.prompt)
    writer = EndpointWriter(settings.client(f"{options.endpoint}#{options.model}"))
    rewriting = Rewriting(
        table=open_table(options.table),
        writer=writer,
        style=style,
        name=options.name or ("rewritten" if style.name == OWN else style.name),
        kept=options.kept,
    )
    if not options.overwrite:
        rewriting.refuse_others()
    estimate = rewriting.estimate()
    print(estimate.summary())
    if estimate.captions and not options.yes and settings.max_cost is None:
        raise ConfigError(
            "nothing was asked; go on with --yes, or within a bound by --max-cost, --price-in and "
            "--price-out"
        )
    rewriting.refuse_others(overwrite=options.overwrite)
    try:
        with _progress(estimate.captions) as advance:
            report = rewriting.run(advance=advance)
    finally:
        if writer.account.sent or writer.account.cached:
            print(writer.account.summary(), file=sys.stderr)
    _show(report)
    return 0


def _show(report: "RewriteReport") -> None:
    tell(
        folder=report.folder,
        num_captions=report.rows,
        num_rewritten=report.rewritten,
        reasons=report.reasons,
    )
    share = report.rewritten / report.rows if report.rows else 0.0
    print(f"{report.rewritten:,} of {report.rows:,} captions ({share:.1%}) -> {report.folder}")
    for reason, number in sorted(report.reasons.items(), key=lambda one: -one[1]):
        print(f"  {number:,} x {reason}")
    if report.reasons.get("failed"):
        print(
            f"warning: {report.reasons['failed']:,} captions are left, whose tries ran out; the "
            "same command asks them again",
            file=sys.stderr,
        )
    print(f"  to train on it: --set data.captions=own,{report.folder}")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], object]]:
    answers = shard_progress(range(total), unit="captions")
    yield lambda: next(answers, None)
    next(answers, None)  # the last one
