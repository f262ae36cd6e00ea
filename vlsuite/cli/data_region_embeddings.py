"""``vlsuite data region-embeddings``: what a teacher says of regions of training pictures, kept."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_models, refuse_missing_shards
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.errors import ConfigError

_DESCRIPTION = """\
let a detector propose regions in training pictures, and a teacher embed them (recipe vild)

  vlsuite train vild_small --set data.train=SHARDS --set model.vocabulary=SHARDS --out runs/boxes
  vlsuite data region-embeddings --recipe vild_small --localizer runs/boxes \\
    --set data.train=SHARDS --set model.vocabulary=SHARDS --set model.mode=vild \\
    --set model.teacher.name=local-dir:runs/clip/export --out regions

Settings are those of the run that will read them: shards, vocabulary, teacher, crops. The detector
that proposes has to be trained on base names alone, or novel ones leak. Then:
--set model.regions=regions. Called again, it goes on after the last whole shard. A picture takes
regions x (length of an embedding + 18) bytes: 159 kB at 300 x 512.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RegionOptions:
    """Which regions of which pictures.

    Args:
        recipe: whose settings are the defaults.
        localizer: run or exported folder of the detector that proposes.
        keep: regions of a picture, at most; 300 published.
        form: int8 with a scale a vector, or fp32, four times as large.
        device: that computes: cpu, cuda, ...
        out: folder to write, or to go on with.
    """

    recipe: str = "vild"
    set: tuple[str, ...] = option(
        "change one setting", default=(), repeated=True, metavar="KEY=VALUE"
    )
    localizer: str = option(metavar="RUN")
    keep: int = option(default=300, reader=positive)
    nms: float = option("IoU above which the worse of two regions goes", default=0.9)
    form: Literal["int8", "fp32"] = "int8"
    device: str = "cpu"
    out: Path = option(metavar="DIR")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.description = _DESCRIPTION
    add_options(parser, RegionOptions)


def run(args: argparse.Namespace, *, progress: Callable[[Iterable[Any]], Iterable[Any]]) -> int:
    """Write the folder; returns the exit code."""
    from vlsuite.recipes import registry

    options = read_options(args, RegionOptions)
    registry.refuse_unknown(options.recipe)
    refuse_missing_shards(options.set)
    refuse_missing_models(options.localizer)
    from data_pipelines.settings import apply_overrides
    from vlsuite.models.opening import open_model
    from vlsuite.models.vild.config import VildConfig
    from vlsuite.models.vild.embedding_regions import embed_training_regions
    from vlsuite.models.vild.model import Vild

    config = apply_overrides(registry.get(options.recipe)(), options.set)
    if not isinstance(config.model, VildConfig):
        raise ConfigError(f"--recipe {options.recipe} trains no ViLD detector; name one that does")
    localizer = open_model(options.localizer, device=options.device)
    if not isinstance(localizer, Vild):
        raise ConfigError(f"--localizer {options.localizer} is no ViLD detector; name one")
    done = embed_training_regions(
        options.out,
        config.model,
        config.data,
        localizer,
        keep=options.keep,
        nms=options.nms,
        form=options.form,
        progress=progress,
    )
    tell(
        folder=options.out,
        num_pictures=done.num_pictures,
        num_regions=done.num_regions,
        num_shards_kept=done.num_shards_kept,
        num_skipped=done.num_skipped,
    )
    print(f"{done.num_pictures:,} pictures, {done.num_regions:,} regions -> {options.out}")
    if done.num_shards_kept:
        print(f"  {done.num_shards_kept:,} shards were there already")
    if done.num_skipped:
        print(f"  skipped {done.num_skipped:,} pictures that could not be read")
    return 0
