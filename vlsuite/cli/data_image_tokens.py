"""``vlsuite data image-tokens``: what a frozen image tower says of training pictures, kept."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipelines.options import option
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import refuse_missing_shards
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.errors import ConfigError

_DESCRIPTION = """\
run a frozen image tower over training pictures once and keep its tokens (recipe nevlp)

  vlsuite data image-tokens --set data.train=SHARDS --out tokens \\
    --set model.image_tower.name=local-dir:runs/first/export

Settings are those of the run that will read them: shards, augmentation, tower, model.image_layer.
A step of training draws one of the views of a picture. Then: --set data.image_tokens=tokens.
The folder takes pictures x views x tokens x width x 4 bytes.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTokenOptions:
    """Which tokens of which pictures.

    Args:
        recipe: whose settings are the defaults.
        views: augmented views of each picture.
        batch_size: views at a time.
        out: folder to write.
    """

    recipe: str = "nevlp"
    set: tuple[str, ...] = option(
        "change one setting", default=(), repeated=True, metavar="KEY=VALUE"
    )
    views: int = option(default=8, reader=positive)
    batch_size: int = option(default=256, reader=positive)
    out: Path = option(metavar="DIR")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.description = _DESCRIPTION
    add_options(parser, ImageTokenOptions)


def run(args: argparse.Namespace, *, progress: Callable[[Iterable[Any]], Iterable[Any]]) -> int:
    """Write the folder; returns the exit code."""
    from vlsuite.recipes import registry

    options = read_options(args, ImageTokenOptions)
    registry.refuse_unknown(options.recipe)
    refuse_missing_shards(options.set)
    from data_pipelines.settings import apply_overrides
    from vlsuite.models.nevlp.config import NevlpConfig
    from vlsuite.models.nevlp.image_tokens import token_source
    from vlsuite.models.nevlp.write_image_tokens import write_image_tokens

    config = apply_overrides(registry.get(options.recipe)(), options.set)
    if not isinstance(config.model, NevlpConfig):
        raise ConfigError(f"--recipe {options.recipe} has no frozen image tower; name a nevlp one")
    tower = config.model.build_tower()
    done = write_image_tokens(
        options.out,
        tower,
        config.data,
        token_source(tower, image_layer=config.model.image_layer),
        views=options.views,
        seed=config.seed,
        batch_size=options.batch_size,
        progress=progress,
    )
    tokens, width = done.shape
    tell(
        folder=options.out,
        num_pictures=done.num_pictures,
        views=options.views,
        tokens=tokens,
        width=width,
        num_skipped=done.num_skipped,
    )
    print(
        f"{done.num_pictures:,} pictures x {options.views} views x {tokens} tokens of width "
        f"{width} -> {options.out}"
    )
    if done.num_skipped:
        print(f"  skipped {done.num_skipped:,} pictures that could not be read")
    return 0
