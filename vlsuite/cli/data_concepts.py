"""``vlsuite data concepts``: words for what is in the pictures of shards, by a CLIP."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.description = _DESCRIPTION
    add = parser.add_argument
    add("paths", nargs="+", metavar="SHARDS", help="tar, folder of tars, or pattern")
    add("--model", required=True, help="a CLIP, named as for 'vlsuite eval'")
    words = parser.add_mutually_exclusive_group(required=True)
    words.add_argument(
        "--concepts", type=Path, metavar="FILE", help="one word or short phrase a line"
    )
    words.add_argument(
        "--from-captions",
        type=int,
        metavar="N",
        help="words of noun phrases that stand in N captions of the shards or more (20 is usual)",
    )
    add("--top", type=int, default=5, help="concepts of a picture at most (default: 5)")
    add(
        "--share",
        type=float,
        metavar="SHARE",
        help="of the pictures above each concept's threshold (default: with --from-captions the "
        "word's share of the captions, with --concepts 0.02)",
    )
    add("--batch-size", type=int, default=256, help="pictures at a time (default: 256)")
    add("--device", default="cpu", help="default: cpu")
    add("--out", type=Path, required=True, metavar="FILE", help="JSON lines to write")


def run(args: argparse.Namespace, *, progress: Callable[[Iterable[Any]], Iterable[Any]]) -> int:
    """Write the file; returns the exit code."""
    from vlsuite.errors import ConfigError
    from vlsuite.models.dual_encoder.clip import Clip
    from vlsuite.models.opening import open_model
    from vlsuite.models.tag_shards import tag_shards, words_of_shards

    if args.top < 1 or args.batch_size < 1:
        raise ConfigError("--top and --batch-size must be positive")
    clip = open_model(args.model, device=args.device)
    if not isinstance(clip, Clip):
        raise ConfigError(f"--model {args.model} is no CLIP; name the one of its image tower")
    if args.concepts is not None:
        shares = dict.fromkeys(_listed(args.concepts), args.share or _LISTED_SHARE)
    else:
        if args.from_captions < 1:
            raise ConfigError("--from-captions must be 1 or more: how often a word is used")
        shares = words_of_shards(args.paths, min_count=args.from_captions)
        shares = {word: args.share or share for word, share in shares.items()}
    if not shares:
        raise ConfigError("the list of concepts is empty; lower --from-captions or fill the file")
    done = tag_shards(
        clip,
        args.paths,
        args.out,
        shares=shares,
        top=args.top,
        batch_size=args.batch_size,
        progress=progress,
    )
    print(
        f"{done.num_pictures:,} pictures, {done.num_concepts:,} concepts, "
        f"{done.num_without:,} pictures without any -> {args.out}"
    )
    if done.num_skipped:
        print(f"  skipped {done.num_skipped:,} pictures that could not be read")
    return 0


def _listed(path: Path) -> list[str]:
    from vlsuite.errors import DataError

    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read {path}: {error}; give a text file, one concept a line"
        ) from error
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
