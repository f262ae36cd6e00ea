"""``vlsuite classify``: which of some names fits each picture."""

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import (
    refuse_missing_data,
    refuse_missing_models,
    refuse_unknown_templates,
)
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.errors import ConfigError

if TYPE_CHECKING:
    from vlsuite.api.plain_pictures import NamedPicture

HELP = """\
say which of some names fits each of your own pictures, as a CSV

  vlsuite classify photos --names cat,dog,car --model ViT-B-32:laion2b_s34b_b79k --out named.csv
  vlsuite classify photos --names-from names.txt --top 5 --model runs/first --out named.csv

Columns: path, rank, name, probability, cosine, problem. Probabilities are a softmax over the names
that are given, nothing else being possible: a picture of none of them gets one too, which its low
cosine tells. A picture that cannot be read has a line with its problem and no name.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifyOptions:
    """Which pictures, which names, by which model."""

    pictures: tuple[str, ...] = option(
        "a folder, pictures, shards, a list (.txt) or table (.csv, .tsv, .parquet) of pictures",
        positional=True, metavar="FOLDER",
    )  # fmt: skip
    model: str = option("a dual encoder, named as for 'vlsuite eval'")
    out: Path = option("the CSV", metavar="FILE")
    names: tuple[str, ...] = option("with commas between", default=())
    names_from: Path | None = option(
        "text file with one name a line, besides --names", default=None, metavar="FILE"
    )
    templates: str | None = option(
        "prompts, one a line, {c} for the name; or simple, cifar10, imagenet, imagenet-simple "
        "(default: imagenet where all names are ImageNet's, else simple)",
        default=None, metavar="FILE",
    )  # fmt: skip
    top: int = option("names of a picture", default=1, reader=positive)
    pixels: str = option("exact, or faster and close", default="exact", choices=("close", "exact"))
    batch_size: int = option("pictures of a forward pass", default=64, reader=positive)
    device: str | None = option("cpu, cuda, ... (default: cuda if there is one)", default=None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    add_options(parser, ClassifyOptions)


def run(args: argparse.Namespace) -> int:
    """Name the pictures; returns the exit code.

    Raises:
        UserError: see ``vlsuite.api.plain_pictures.classify``.
    """
    options = read_options(args, ClassifyOptions)
    names = _names(options)
    refuse_missing_data(options.pictures)
    refuse_unknown_templates(options.templates)
    refuse_missing_models(options.model)
    from eval.progress import Progress
    from vlsuite.api.plain_pictures import Naming, named, prompts_of, write_rows

    naming = Naming(
        names=names,
        templates=prompts_of(options.templates),
        top=options.top,
        pixels=options.pixels,
        batch_size=options.batch_size,
    )
    found = named(options.model, options.pictures, naming, device=options.device, progress=Progress)
    counts: Counter[str] = Counter()
    problems: Counter[str] = Counter()
    columns = ("path", "rank", "name", "probability", "cosine", "problem")
    write_rows(options.out, columns, _rows(found, counts, problems))
    tell(file=options.out, named=counts, problems=problems)
    _print(counts, problems, options.out)
    return 0


def _names(options: ClassifyOptions) -> tuple[str, ...]:
    from eval.detection.asked_names import names_of_file

    listed = () if options.names_from is None else names_of_file(options.names_from)
    names = (*options.names, *listed)
    if len(names) < 2:
        given = f"'{names[0]}' alone is" if names else "none is"
        raise ConfigError(
            f"a picture is named by the likeliest of several names, and {given} given; write at "
            "least two, --names cat,dog or --names-from FILE"
        )
    return names


def _rows(
    found: Iterable["NamedPicture"], counts: Counter[str], problems: Counter[str]
) -> Iterator[tuple]:
    for one in found:
        if one.problem:
            problems[one.problem] += 1
            yield (one.path, "", "", "", "", one.problem)
            continue
        counts[one.names[0]] += 1
        own = zip(one.names, one.probabilities, one.cosines, strict=True)
        for rank, (name, probability, cosine) in enumerate(own, start=1):
            yield (one.path, rank, name, f"{probability:.6f}", f"{cosine:.6f}", "")


def _print(counts: Counter[str], problems: Counter[str], out: Path) -> None:
    from data_pipelines.printable import printable

    for name, count in counts.most_common(20):
        print(f"{count:>8,}  {printable(name)}")
    if len(counts) > 20:
        print(f"... and {len(counts) - 20:,} more names")
    for problem, count in sorted(problems.items()):
        print(f"  not read {count:,}: {printable(problem)}")
    print(f"named: {out}")
