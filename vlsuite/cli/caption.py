"""``vlsuite caption``: what a model writes about each picture."""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_data, refuse_missing_models
from vlsuite.cli.options import add_options, positive, read_options

if TYPE_CHECKING:
    from vlsuite.api.plain_pictures import CaptionedPicture

HELP = """\
let a model describe each of your own pictures, as a CSV

  vlsuite caption photos --model runs/coca --out captions.csv
  vlsuite caption photos --model coca_ViT-B-32:mscoco_finetuned_laion2b_s13b_b90k --out captions.csv
  vlsuite caption photos --model transformers:Salesforce/blip-image-captioning-base --out c.csv

Columns: path, caption, problem. A picture that cannot be read has a line with its problem. The
table can be built into shards: vlsuite data build table captions.csv --images photos ...
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionOptions:
    """Which pictures, by which model, and how captions are written."""

    pictures: tuple[str, ...] = option(
        "a folder, pictures, shards, a list (.txt) or table (.csv, .tsv, .parquet) of pictures",
        positional=True, metavar="FOLDER",
    )  # fmt: skip
    model: str = option("one that writes captions, named as for 'vlsuite eval'")
    out: Path = option("the CSV", metavar="FILE")
    prompt: str = option("text before every caption, not part of it", default="")
    max_tokens: int = option("longest caption", default=30, reader=positive)
    num_beams: int = option("of beam search; 1 is greedy", default=5, reader=positive)
    batch_size: int = option("pictures at once", default=16, reader=positive)
    device: str | None = option("cpu, cuda, ... (default: cuda if there is one)", default=None)
    set: tuple[str, ...] = option(
        "a setting of the model, where its kind has some", default=(), repeated=True,
        metavar="KEY=VALUE",
    )  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_options(parser, CaptionOptions)


def run(args: argparse.Namespace) -> int:
    """Caption the pictures; returns the exit code.

    Raises:
        UserError: see ``vlsuite.api.plain_pictures.caption``.
    """
    options = read_options(args, CaptionOptions)
    refuse_missing_data(options.pictures)
    refuse_missing_models(options.model)
    from eval.progress import Progress
    from vlsuite.api.plain_pictures import Writing, captioned, write_rows

    writing = Writing(
        prompt=options.prompt,
        max_tokens=options.max_tokens,
        num_beams=options.num_beams,
        batch_size=options.batch_size,
    )
    found = captioned(
        options.model,
        options.pictures,
        writing,
        device=options.device,
        settings=options.set,
        progress=Progress,
    )
    counts: Counter[str] = Counter()
    write_rows(options.out, ("path", "caption", "problem"), _rows(found, counts))
    written = counts.pop("", 0)
    tell(file=options.out, captioned=written, problems=counts)
    for problem, count in sorted(counts.items()):
        print(f"  not read {count:,}: {problem}")
    print(f"{written:,} captions -> {options.out}")
    return 0


def _rows(found: Iterable["CaptionedPicture"], counts: Counter[str]) -> Iterator[tuple]:
    for one in found:
        counts[one.problem] += 1
        yield (one.path, one.caption, one.problem)
