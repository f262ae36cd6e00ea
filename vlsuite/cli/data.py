"""``vlsuite data``: build, validate and look at WebDataset shards, and learn a tokenizer."""

import argparse
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from data_pipelines.errors import DataError
from data_pipelines.shards.manifest import Origin
from data_pipelines.sources.source import (
    LAYOUTS,
    Source,
    Target,
    command_line,
    find_source,
    source_names,
)
from vlsuite.cli import data_concepts, data_noise, data_sounds

HELP = """\
write, check and look at shards of image-caption pairs

  vlsuite data build emoji --out data/emoji           the demo's shards, from installed packages
  vlsuite data build table --help                     a CSV, TSV or Parquet of paths and captions
  vlsuite data validate data/emoji                    decode and check every sample
  vlsuite data inspect data/emoji/train --contact-sheet sheet.png
  vlsuite data tokenizer data/emoji/train --vocab-size 2048 --out data/emoji/tokenizer
  vlsuite data noise data/emoji/train --mismatched 0.5 --out data/emoji-noisy
  vlsuite data concepts data/emoji/train --model runs/first --from-captions 20 --out tags.jsonl
  vlsuite data sounds clips.tar --member mp3 --out data/sounds
"""

_PATHS_HELP = "tar, folder of tars, or pattern such as 'train-{000000..000004}.tar'"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``vlsuite data`` and of its actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_build(_action(actions, "build", "write shards from a source"))
    validate = _action(
        actions,
        "validate",
        "check every sample: decodes, pairing, ids, text, tar ends, checksums",
        example="vlsuite data validate data/emoji 'other/{00000..00011}.tar' --workers 4",
    )
    validate.add_argument("paths", nargs="+", metavar="PATH", help=_PATHS_HELP)
    validate.add_argument("--workers", type=_positive, default=1, help="processes (default: 1)")
    validate.add_argument(
        "--examples", type=_positive, default=3, help="cases shown of each problem (default: 3)"
    )
    inspect = _action(
        actions,
        "inspect",
        "counts, sizes, caption lengths, and a sheet of pictures",
        example="vlsuite data inspect data/emoji/train --contact-sheet sheet.png",
    )
    inspect.add_argument("paths", nargs="+", metavar="PATH", help=_PATHS_HELP)
    inspect.add_argument("--contact-sheet", type=Path, metavar="PNG", help="draw pictures into it")
    inspect.add_argument("--pictures", type=_positive, default=60, help="on it (default: 60)")
    tokenizer = _action(
        actions,
        "tokenizer",
        "learn a small byte-pair vocabulary from the captions of shards",
        example="vlsuite data tokenizer data/emoji/train --vocab-size 2048 --out data/tokenizer",
    )
    tokenizer.add_argument("paths", nargs="+", metavar="PATH", help=_PATHS_HELP)
    tokenizer.add_argument("--vocab-size", type=_positive, required=True, help="tokens at most")
    tokenizer.add_argument("--context-length", type=_positive, default=32, help="default: 32")
    tokenizer.add_argument("--out", type=Path, required=True, metavar="DIR")
    noise = _action(actions, "noise", "write shards again with wrong captions of known truth")
    data_noise.add_arguments(noise)
    concepts = _action(actions, "concepts", "name what is in each picture, by a CLIP")
    data_concepts.add_arguments(concepts)
    sounds = _action(actions, "sounds", "draw the sounds of shards as pictures to train on")
    data_sounds.add_arguments(sounds)


def run(args: argparse.Namespace) -> int:
    """Do the chosen action; returns the exit code."""
    return _ACTIONS[args.action](args)


def _action(actions: Any, name: str, text: str, *, example: str = "") -> argparse.ArgumentParser:
    return actions.add_parser(
        name,
        help=text,
        description=f"{text}\n\n  {example}" if example else text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_build(parser: argparse.ArgumentParser) -> None:
    sources = parser.add_subparsers(dest="source", metavar="SOURCE", required=True)
    for name in source_names():
        source = find_source(name)
        subparser = _action(sources, name, source.HELP, example=source.EXAMPLE)
        own = subparser.add_argument_group(f"options of {name}")
        own_names = [entry.name for entry, _ in _options(source)]
        for entry, kind in _options(source):
            _add_option(own, entry, kind)
        _add_target(subparser, has_split="split" in own_names)


def _add_target(parser: argparse.ArgumentParser, *, has_split: bool) -> None:
    add = parser.add_argument_group("output").add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    add("--overwrite", action="store_true", help="replace a set that vlsuite wrote there")
    add(
        "--layout",
        choices=LAYOUTS,
        default="pairs",
        help="pairs for training, benchmark for evaluation (layout of CLIP_benchmark)",
    )
    if not has_split:  # a source that reads one of its own splits gives it that name
        add("--split", default="test", help="name of the benchmark split (default: test)")
    add("--shard-samples", type=_positive, help="samples of one shard at most")
    add("--shard-bytes", type=_positive, help="bytes of one shard at most (default: 1e9)")
    add("--licence", default="not stated", help="recorded in the manifest")
    add("--attribution", default="", help="recorded in the manifest")


def _options(source: type[Source]) -> Iterator[tuple[Field, Any]]:
    kinds = typing.get_type_hints(source)
    return ((entry, kinds[entry.name]) for entry in fields(source))


def _add_option(group: Any, entry: Field, kind: Any) -> None:
    flag = f"--{entry.name.replace('_', '-')}"
    text = entry.metadata["help"].replace("%", "%%")
    if kind is bool:
        group.add_argument(flag, action="store_true", help=text)
        return
    required = entry.default is MISSING
    shown = ",".join(entry.default) if isinstance(entry.default, tuple) else entry.default
    group.add_argument(
        flag,
        type=_reader_of(kind),
        required=required,
        default=None if required else entry.default,
        choices=entry.metadata["choices"] or None,
        help=text if required or shown is None else f"{text} (default: {shown})",
    )


def _reader_of(kind: Any) -> Callable[[str], Any]:
    """What turns the text of an option into the type of its field."""
    if typing.get_origin(kind) is tuple:
        return lambda text: tuple(part for part in text.split(",") if part)
    named = [part for part in typing.get_args(kind) if part is not type(None)]
    return named[0] if named else kind


def _positive(text: str) -> int:
    number = int(float(text))
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _build(args: argparse.Namespace) -> int:
    kind = find_source(args.source)
    source = kind(**{entry.name: vars(args)[entry.name] for entry in fields(kind)})
    sizes = {"max_samples": args.shard_samples, "max_bytes": args.shard_bytes}
    target = Target(
        out_dir=args.out,
        overwrite=args.overwrite,
        layout=args.layout,
        split=args.split,
        progress=_progress("samples"),
        origin=Origin(
            source=args.source,
            licence=args.licence,
            attribution=args.attribution,
            created_by=_command(args, source),
        ),
        **{name: size for name, size in sizes.items() if size is not None},
    )
    manifest = source.build(target)
    print(
        f"{manifest.num_samples:,} samples in {len(manifest.shards)} shards "
        f"({manifest.num_bytes / 1e6:,.1f} MB) -> {args.out}"
    )
    counts = manifest.origin.details.get("samples", {})
    if isinstance(counts, dict):
        for name, count in counts.items():
            print(f"  {name:<26} {count:>7,} samples")
    for reason, count in manifest.skipped.items():
        print(f"  skipped {count:,}: {reason} (e.g. {manifest.skipped_examples[reason][0]})")
    return 0


def _command(args: argparse.Namespace, source: Source) -> str:
    """The command without its output folder: the same input then gives the same manifest."""
    words = [command_line(args.source, source)]
    words += [f"--layout {args.layout}"] if args.layout != "pairs" else []
    is_told = any(entry.name == "split" for entry in fields(source))
    words += [f"--split {args.split}"] if args.layout != "pairs" and not is_told else []
    words += [f"--shard-samples {args.shard_samples}"] if args.shard_samples else []
    words += [f"--shard-bytes {args.shard_bytes}"] if args.shard_bytes else []
    return " ".join(words)


def _validate(args: argparse.Namespace) -> int:
    from data_pipelines.shards.validate import validate

    report = validate(args.paths, workers=args.workers, progress=_progress("shards"))
    print(f"{report.num_samples:,} samples in {report.num_shards} shards")
    if report.num_without_uid:
        print(f"  note: {report.num_without_uid:,} samples have no permanent uid in their json")
    if report.num_shared:
        print(f"  note: {report.num_shared:,} samples are in more than one of the folders")
    for kind, count in report.problems.items():
        print(f"  {count:,} x {kind}")
        for example in report.examples[kind][: args.examples]:
            print(f"      {example}")
    print("no problems" if report.is_valid else f"{sum(report.problems.values()):,} problems")
    return 0 if report.is_valid else 1


def _inspect(args: argparse.Namespace) -> int:
    from data_pipelines.contact_sheet import write_contact_sheet
    from data_pipelines.inspect import describe, inspect_shards

    print(describe(inspect_shards(args.paths, progress=_progress("samples"))))
    if args.contact_sheet:
        shown = write_contact_sheet(args.paths, args.contact_sheet, num_pictures=args.pictures)
        print(f"contact sheet of {shown} pictures -> {args.contact_sheet}")
    return 0


def _tokenizer(args: argparse.Namespace) -> int:
    from vlsuite.batches.tokenizer import train_tokenizer

    captions = _captions(args.paths)
    size = train_tokenizer(
        captions, vocab_size=args.vocab_size, out_dir=args.out, context_length=args.context_length
    )
    print(f"vocabulary of {size:,} tokens -> {args.out}")
    return 0


def _captions(paths: Sequence[str]) -> Iterator[str]:
    """All captions of all samples; samples whose captions cannot be read are counted."""
    from data_pipelines.shards.find import find_shards
    from data_pipelines.shards.index import ShardIndex
    from data_pipelines.shards.pairs import captions_of

    num_unreadable = 0
    for path in find_shards(paths):
        index = ShardIndex.open(path)
        for i in range(len(index)):
            try:
                yield from captions_of(index.read(i), one_per_line=False)
            except DataError:
                num_unreadable += 1
    if num_unreadable:
        print(f"skipped {num_unreadable:,} samples without readable captions", file=sys.stderr)


def _concepts(args: argparse.Namespace) -> int:
    return data_concepts.run(args, progress=_progress("pictures"))


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
    "validate": _validate,
    "inspect": _inspect,
    "tokenizer": _tokenizer,
    "noise": _noise,
    "concepts": _concepts,
    "sounds": _sounds,
}
