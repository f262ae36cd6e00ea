"""``vlsuite data``: build, validate and look at WebDataset shards, and learn a tokenizer."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_pipelines.errors import DataError
from data_pipelines.options import option
from data_pipelines.texts import counted
from vlsuite.cli import (
    data_build,
    data_concepts,
    data_image_tokens,
    data_ingest,
    data_noise,
    data_region_embeddings,
    data_sounds,
)
from vlsuite.cli.answers import plain, tell
from vlsuite.cli.options import add_options, positive, read_options
from vlsuite.cli.parser import CommandParser

HELP = """\
write, check and look at shards of image-caption pairs

  vlsuite data build emoji --out data/emoji           the demo's shards, from installed packages
  vlsuite data build table --help                     a CSV, TSV or Parquet of paths and captions
  vlsuite data build detection --help                 pictures with boxes: COCO, LVIS
  vlsuite data ingest pairs.parquet --out data/pairs  the pictures of a list of URLs
  vlsuite data validate data/emoji                    decode and check every sample
  vlsuite data inspect data/emoji/train --contact-sheet sheet.png
  vlsuite data tokenizer data/emoji/train --vocab-size 2048 --out data/emoji/tokenizer
  vlsuite data noise data/emoji/train --mismatched 0.5 --out data/emoji-noisy
  vlsuite data concepts data/emoji/train --model runs/first --from-captions 20 --out tags.jsonl
  vlsuite data image-tokens --set data.train=SHARDS --set model.image_tower.name=TOWER --out tokens
  vlsuite data region-embeddings --localizer RUN --set data.train=SHARDS --out regions
  vlsuite data sounds clips.tar --member mp3 --out data/sounds
"""

_PATHS_HELP = "tar, folder of tars, or pattern such as 'train-{000000..000004}.tar'"


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidateOptions:
    """What is checked."""

    paths: tuple[str, ...] = option(_PATHS_HELP, positional=True, metavar="PATH")
    workers: int = option("processes", default=1, reader=positive)
    examples: int = option("cases shown of each problem", default=3, reader=positive)


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexOptions:
    """What is indexed."""

    paths: tuple[str, ...] = option(_PATHS_HELP, positional=True, metavar="PATH")


@dataclass(frozen=True, kw_only=True, slots=True)
class InspectOptions:
    """What is looked at."""

    paths: tuple[str, ...] = option(_PATHS_HELP, positional=True, metavar="PATH")
    contact_sheet: Path | None = option("draw pictures into it", default=None, metavar="PNG")
    pictures: int = option("on it", default=60, reader=positive)
    batch_size: int = option(
        "of a training run, to say how many shards a batch has samples of",
        default=1024,
        reader=positive,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerOptions:
    """What a vocabulary is learned from."""

    paths: tuple[str, ...] = option(_PATHS_HELP, positional=True, metavar="PATH")
    vocab_size: int = option("tokens at most", reader=positive)
    context_length: int = option("tokens of a caption", default=32, reader=positive)
    out: Path = option("folder to write", metavar="DIR")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``vlsuite data`` and of its actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    data_build.add_arguments(_action(actions, "build", "write shards from a source"))
    ingest = _action(actions, "ingest", "fetch the pictures of lists of URLs")
    data_ingest.add_arguments(ingest)
    validate = _action(
        actions,
        "validate",
        "check every sample: decodes, pairing, ids, text, tar ends, checksums",
        example="vlsuite data validate data/emoji 'other/{00000..00011}.tar' --workers 4",
    )
    add_options(validate, ValidateOptions)
    inspect = _action(
        actions,
        "inspect",
        "counts, sizes, caption lengths, and a sheet of pictures",
        example="vlsuite data inspect data/emoji/train --contact-sheet sheet.png",
    )
    add_options(inspect, InspectOptions)
    index = _action(
        actions,
        "index",
        "write the index of each shard beside it, to be uploaded or handed on with it",
        example="vlsuite data index data/pairs && aws s3 cp --recursive data/pairs s3://bucket/",
    )
    add_options(index, IndexOptions)
    tokenizer = _action(
        actions,
        "tokenizer",
        "learn a small byte-pair vocabulary from the captions of shards",
        example="vlsuite data tokenizer data/emoji/train --vocab-size 2048 --out data/tokenizer",
    )
    add_options(tokenizer, TokenizerOptions)
    noise = _action(actions, "noise", "write shards again with wrong captions of known truth")
    data_noise.add_arguments(noise)
    concepts = _action(actions, "concepts", "name what is in each picture, by a CLIP")
    data_concepts.add_arguments(concepts)
    tokens = _action(actions, "image-tokens", "run a frozen image tower once and keep its tokens")
    data_image_tokens.add_arguments(tokens)
    regions = _action(actions, "region-embeddings", "embed regions of pictures by a teacher")
    data_region_embeddings.add_arguments(regions)
    sounds = _action(actions, "sounds", "draw the sounds of shards as pictures to train on")
    data_sounds.add_arguments(sounds)


def run(args: argparse.Namespace) -> int:
    """Do the chosen action; returns the exit code."""
    return _ACTIONS[args.action](args)


def _action(actions: Any, name: str, text: str, *, example: str = "") -> CommandParser:
    return actions.add_parser(
        name,
        help=text,
        description=f"{text}\n\n  {example}" if example else text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _build(args: argparse.Namespace) -> int:
    return data_build.run(args, progress=_progress("samples"))


def _validate(args: argparse.Namespace) -> int:
    from data_pipelines.shards.validate import validate

    options = read_options(args, ValidateOptions)
    report = validate(options.paths, workers=options.workers, progress=_progress("shards"))
    tell(
        is_valid=report.is_valid,
        num_samples=report.num_samples,
        num_shards=report.num_shards,
        num_without_uid=report.num_without_uid,
        num_shared=report.num_shared,
        problems=report.problems,
        examples={k: told[: options.examples] for k, told in report.examples.items()},
    )
    print(f"{counted(report.num_samples, 'sample')} in {counted(report.num_shards, 'shard')}")
    if report.num_without_uid:
        print(
            f"  note: {report.num_without_uid:,} samples have no permanent uid in their json; name "
            "and content of the shard and the key stand for it ('vlsuite data build shards' gives "
            "them one)"
        )
    if report.num_shared:
        print(f"  note: {report.num_shared:,} samples are in more than one of the folders")
    for kind, count in report.problems.items():
        print(f"  {count:,} x {kind}")
        for example in report.examples[kind][: options.examples]:
            print(f"      {example}")
    print("no problems" if report.is_valid else f"{sum(report.problems.values()):,} problems")
    return 0 if report.is_valid else 1


def _index(args: argparse.Namespace) -> int:
    from data_pipelines.shards.find import find_shards
    from data_pipelines.shards.index import store_beside

    shards = find_shards(read_options(args, IndexOptions).paths)
    for shard in _progress("shards")(shards):
        store_beside(shard)
    tell(num_shards=len(shards), shards=shards)
    print(f"{len(shards)} indexes written beside the shards")
    return 0


def _inspect(args: argparse.Namespace) -> int:
    from data_pipelines.contact_sheet import write_contact_sheet
    from data_pipelines.inspect import describe, inspect_shards

    options = read_options(args, InspectOptions)
    found = inspect_shards(
        options.paths, batch_size=options.batch_size, progress=_progress("samples")
    )
    tell(**plain(found))
    print(describe(found))
    if options.contact_sheet:
        shown = write_contact_sheet(
            options.paths, options.contact_sheet, num_pictures=options.pictures
        )
        tell(contact_sheet=options.contact_sheet, pictures_shown=shown)
        print(f"contact sheet of {shown} pictures -> {options.contact_sheet}")
    return 0


def _tokenizer(args: argparse.Namespace) -> int:
    from data_pipelines.shards.find import find_shards

    options = read_options(args, TokenizerOptions)
    find_shards(options.paths)
    from vlsuite.batches.tokenizer import train_tokenizer

    captions = _captions(options.paths)
    size = train_tokenizer(
        captions,
        vocab_size=options.vocab_size,
        out_dir=options.out,
        context_length=options.context_length,
    )
    tell(vocab_size=size, folder=options.out)
    print(f"vocabulary of {size:,} tokens -> {options.out}")
    return 0


def _captions(paths: Sequence[str]) -> Iterator[str]:
    """All captions of all samples; samples whose captions cannot be read are counted."""
    from data_pipelines.shards.find import find_shards
    from data_pipelines.shards.index import ShardIndex
    from data_pipelines.shards.pairs import captions_of
    from data_pipelines.shards.text import clean_caption

    num_unreadable = 0
    for path in find_shards(paths):
        index = ShardIndex.open(path)
        for i in range(len(index)):
            try:
                # as training reads them: without what it takes out
                found = captions_of(index.read(i), one_per_line=False)
                yield from (clean_caption(caption).text for caption in found)
            except DataError:
                num_unreadable += 1
    if num_unreadable:
        print(f"skipped {num_unreadable:,} samples without readable captions", file=sys.stderr)


def _concepts(args: argparse.Namespace) -> int:
    return data_concepts.run(args, progress=_progress("pictures"))


def _image_tokens(args: argparse.Namespace) -> int:
    return data_image_tokens.run(args, progress=_progress("pictures"))


def _region_embeddings(args: argparse.Namespace) -> int:
    return data_region_embeddings.run(args, progress=_progress("pictures"))


def _sounds(args: argparse.Namespace) -> int:
    return data_sounds.run(args, progress=_progress("sounds"))


def _noise(args: argparse.Namespace) -> int:
    return data_noise.run(args, progress=_progress("samples"))


def _progress(unit: str) -> Callable[[Iterable], Iterable]:
    """A bar on stderr while it is a terminal."""
    from tqdm import tqdm

    return lambda items: iter(tqdm(items, unit=f" {unit}", leave=False, disable=None))


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {
    "build": _build,
    "ingest": data_ingest.run,
    "validate": _validate,
    "index": _index,
    "inspect": _inspect,
    "tokenizer": _tokenizer,
    "noise": _noise,
    "concepts": _concepts,
    "image-tokens": _image_tokens,
    "region-embeddings": _region_embeddings,
    "sounds": _sounds,
}
