"""``vlsuite data sounds``: shards of sounds as shards of pictures, so that a CLIP learns them."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from data_pipelines.errors import DataError
from data_pipelines.options import option
from data_pipelines.shards.write import DEFAULT_MAX_SAMPLES
from data_pipelines.spectrogram import SpectrogramConfig
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, read_options

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


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundOptions:
    """Which sounds are drawn, and where to."""

    paths: tuple[str, ...] = option(
        "tar, folder of tars, or pattern", positional=True, metavar="SHARDS"
    )
    member: str = option("of the sound: speech.ogg, mp3, wav, flac", metavar="SUFFIX")
    out: Path = option("folder to write", metavar="DIR")
    overwrite: bool = option("replace a set that vlsuite wrote there", default=False)
    languages: tuple[str, ...] = option(
        "take the captions of these languages where the json has some by language, the first one "
        "as txt (default: captions as they are)",
        default=(),
        metavar="L,L",
    )
    shard_samples: int = option("at most", default=DEFAULT_MAX_SAMPLES, metavar="N")

    def __post_init__(self) -> None:
        if self.shard_samples < 1:
            raise DataError(f"--shard-samples is {self.shard_samples}; give at least 1")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.description = _DESCRIPTION
    add_options(parser, SoundOptions, leave_out=("shard_samples",))
    add_options(parser, SpectrogramConfig)
    add_options(parser, SoundOptions, only=("shard_samples",))


def run(args: argparse.Namespace, *, progress: Callable[[Iterable], Iterable]) -> int:
    """Write the set and say what was done; returns the exit code."""
    from data_pipelines.sounds import SoundShards, write_sounds

    options = read_options(args, SoundOptions)
    source = SoundShards(
        shards=options.paths,
        member=options.member,
        languages=options.languages,
        config=read_options(args, SpectrogramConfig),
    )
    manifest = write_sounds(
        source,
        options.out,
        max_samples=options.shard_samples,
        overwrite=options.overwrite,
        progress=progress,
    )
    tell(
        folder=options.out,
        num_samples=manifest.num_samples,
        num_shards=len(manifest.shards),
        num_bytes=manifest.num_bytes,
        skipped=manifest.skipped,
    )
    print(
        f"{counted(manifest.num_samples, 'sample')} in {counted(len(manifest.shards), 'shard')} "
        f"({manifest.num_bytes / 1e6:,.1f} MB) -> {options.out}"
    )
    for reason, count in manifest.skipped.items():
        print(f"  skipped {count:,}: {reason} (e.g. {manifest.skipped_examples[reason][0]})")
    return 0
