"""``vlsuite data concepts``: words for what is in the pictures of shards, by a CLIP."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipelines.options import option
from data_pipelines.text_lines import lines_of
from vlsuite.cli.answers import tell
from vlsuite.cli.inputs import (
    refuse_missing_data,
    refuse_missing_file,
    refuse_missing_models,
)
from vlsuite.cli.options import add_options, read_options
from vlsuite.errors import ConfigError

_DESCRIPTION = """\
name what is in each picture, for models that take visual concepts (recipe nevlp)

  vlsuite data concepts data/emoji/train --model runs/first --from-captions 20 --out tags.jsonl
  vlsuite data concepts SHARDS --model ViT-B-32:openai --concepts list.txt --out tags.jsonl

A CLIP compares each picture with "a photo of CONCEPT". A concept's threshold is set so that as
many pictures show it as captions name it, or, for a list, the given share.

Then: --set data.concepts=tags.jsonl, and, where --model is the image tower, --set
model.concepts=tags.jsonl lets the trained model name concepts itself.
"""

_LISTED_SHARE = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class ConceptOptions:
    """Which pictures get which words, and by what model.

    Args:
        paths: tar, folder of tars, or pattern.
        model: a CLIP, named as for 'vlsuite eval'.
        concepts: one word or short phrase a line.
        from_captions: words of noun phrases that stand in N captions of the shards or more (20 is
            usual).
        top: concepts of a picture at most.
        share: of the pictures above each concept's threshold (default: with --from-captions the
            word's share of the captions, with --concepts 0.02).
        subset: file of 'vlsuite curate subset'; other samples of the shards do not count.
        batch_size: pictures at a time.
        device: cpu, cuda, cuda:1.
        out: JSON lines to write.
    """

    paths: tuple[str, ...] = option(positional=True, metavar="SHARDS")
    model: str
    concepts: Path | None = option(default=None, metavar="FILE")
    from_captions: int | None = option(default=None, metavar="N")
    top: int = 5
    share: float | None = option(default=None, metavar="SHARE")
    subset: Path | None = option(default=None, metavar="FILE")
    batch_size: int = 256
    device: str = "cpu"
    out: Path = option(metavar="FILE")

    def __post_init__(self) -> None:
        if self.top < 1 or self.batch_size < 1:
            raise ConfigError("--top and --batch-size must be positive")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.description = _DESCRIPTION
    words = ("concepts", "from_captions")
    add_options(parser, ConceptOptions, only=("paths", "model"))
    add_options(parser.add_mutually_exclusive_group(required=True), ConceptOptions, only=words)
    add_options(parser, ConceptOptions, leave_out=("paths", "model", *words))


def run(args: argparse.Namespace, *, progress: Callable[[Iterable[Any]], Iterable[Any]]) -> int:
    """Write the file; returns the exit code."""
    from data_pipelines.shards.find import find_shards

    options = read_options(args, ConceptOptions)
    refuse_missing_data(options.paths)
    refuse_missing_models(options.model)
    refuse_missing_file(options.concepts, option="--concepts", form="a text file, one a line")
    if options.from_captions is not None and options.from_captions < 1:
        raise ConfigError("--from-captions must be 1 or more: how often a word is used")
    find_shards(options.paths)  # what is not there is told before a model is opened
    from vlsuite.models.dual_encoder.clip import Clip
    from vlsuite.models.opening import open_model
    from vlsuite.models.tag_shards import tag_shards, words_of_shards

    clip = open_model(options.model, device=options.device)
    if not isinstance(clip, Clip):
        raise ConfigError(f"--model {options.model} is no CLIP; name the one of its image tower")
    if options.concepts is not None:
        shares = dict.fromkeys(_listed(options.concepts), options.share or _LISTED_SHARE)
    else:
        least = options.from_captions or 1
        shares = words_of_shards(options.paths, min_count=least, subset=options.subset)
        shares = {word: options.share or share for word, share in shares.items()}
    if not shares:
        raise ConfigError("the list of concepts is empty; lower --from-captions or fill the file")
    done = tag_shards(
        clip,
        options.paths,
        options.out,
        shares=shares,
        top=options.top,
        batch_size=options.batch_size,
        subset=options.subset,
        progress=progress,
    )
    tell(
        file=options.out,
        num_pictures=done.num_pictures,
        num_concepts=done.num_concepts,
        num_without=done.num_without,
        num_skipped=done.num_skipped,
    )
    print(
        f"{done.num_pictures:,} pictures, {done.num_concepts:,} concepts, "
        f"{done.num_without:,} pictures without any -> {options.out}"
    )
    if done.num_skipped:
        print(f"  skipped {done.num_skipped:,} pictures that could not be read")
    return 0


def _listed(path: Path) -> list[str]:
    from vlsuite.errors import DataError

    try:
        lines = lines_of(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read {path}: {error}; give a text file, one concept a line"
        ) from error
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
