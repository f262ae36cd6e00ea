"""``vlsuite data sounds``: shards of sounds as shards of pictures, so that a CLIP learns them."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

from data_pipelines.errors import DataError
from data_pipelines.shards.folder import clear_folder
from data_pipelines.shards.write import DEFAULT_MAX_SAMPLES
from data_pipelines.sound import WINDOWS
from data_pipelines.spectrogram import SpectrogramConfig

_DESCRIPTION = """\
draw the sounds of shards as log-mel spectrograms and write them with their captions

  vlsuite data sounds 'clips-{000..009}.tar' --member mp3 --out data/sounds
  vlsuite data sounds stamps.tar --member speech.ogg --languages fr,en --out data/spoken
  vlsuite data tokenizer data/spoken --vocab-size 4096 --out data/tokenizer
  vlsuite train emoji --out runs/sound --set data.train=data/spoken \\
    --set model.tokenizer=data/tokenizer --set data.augment.flip_probability=0 \\
    --set data.augment.outline_probability=0 --set data.augment.rotation=0

The result is a set of pictures like any other: 'vlsuite train' learns it, 'vlsuite eval' measures
it. How the sounds are drawn lies beside the shards in spectrogram.json.
"""

_HELP = {
    "side": "pixels of the square picture: mel bands upwards, moments to the right",
    "seconds": "of sound from left to right",
    "window": "which seconds of a longer sound",
    "rate": "samples per second after resampling",
    "fft_size": "samples under one column",
    "range_db": "decibels below the loudest that are black",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.description = _DESCRIPTION
    add = parser.add_argument
    add("paths", nargs="+", metavar="SHARDS", help="tar, folder of tars, or pattern")
    add(
        "--member", required=True, metavar="SUFFIX", help="of the sound: speech.ogg, mp3, wav, flac"
    )
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    add("--overwrite", action="store_true", help="replace a set that vlsuite wrote there")
    add(
        "--languages",
        metavar="L,L",
        default="",
        help="take the captions of these languages where the json has some by language, the first "
        "one as txt (default: captions as they are)",
    )
    for entry in fields(SpectrogramConfig):
        add(
            f"--{entry.name.replace('_', '-')}",
            type=type(entry.default),
            default=entry.default,
            choices=WINDOWS if entry.name == "window" else None,
            help=f"{_HELP[entry.name]} (default: {entry.default})",
        )
    add("--shard-samples", type=int, default=DEFAULT_MAX_SAMPLES, metavar="N", help="at most")


def run(args: argparse.Namespace, *, progress: Callable[[Iterable], Iterable]) -> int:
    """Write the set and say what was done; returns the exit code."""
    from data_pipelines.sounds import SoundShards, write_sounds

    if args.shard_samples < 1:
        raise DataError(f"--shard-samples is {args.shard_samples}; give at least 1")
    config = SpectrogramConfig(
        **{entry.name: getattr(args, entry.name) for entry in fields(SpectrogramConfig)}
    )
    source = SoundShards(
        shards=tuple(args.paths),
        member=args.member,
        languages=tuple(part for part in args.languages.split(",") if part),
        config=config,
    )
    if args.overwrite:
        clear_folder(args.out)
    manifest = write_sounds(source, args.out, max_samples=args.shard_samples, progress=progress)
    print(
        f"{manifest.num_samples:,} samples in {len(manifest.shards)} shards "
        f"({manifest.num_bytes / 1e6:,.1f} MB) -> {args.out}"
    )
    for reason, count in manifest.skipped.items():
        print(f"  skipped {count:,}: {reason} (e.g. {manifest.skipped_examples[reason][0]})")
    return 0
