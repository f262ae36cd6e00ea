"""``vlsuite data noise``: shards written again with captions that are wrong in a known way."""

import argparse
from collections.abc import Callable, Iterable

from data_pipelines.noise.build import NoiseTarget, write_noisy
from data_pipelines.noise.plan import NoiseConfig
from data_pipelines.texts import counted
from vlsuite.cli.answers import tell
from vlsuite.cli.options import add_options, read_options

_DESCRIPTION = """\
write shards again with wrong captions of known truth

  vlsuite data noise data/emoji/train --mismatched 0.5 --out data/noisy
  vlsuite data noise data/emoji/train --mismatched 0.25 --partial 0.25 --out data/mixed
  vlsuite data noise data/emoji/train --mismatched 0.5 --clean-only --out data/oracle

Which captions are wrong goes to noise_truth.tsv beside the shards, for evaluators; nothing in the
shards tells it. The same seed spoils the same captions, more of them at a higher rate.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "paths", nargs="+", metavar="SHARDS", help="tar, folder of tars, or pattern"
    )
    add_options(parser, NoiseTarget, only=("out_dir", "overwrite"))
    add_options(parser, NoiseConfig)
    add_options(parser, NoiseTarget, only=("phrases", "clean_only", "max_samples"))


def run(args: argparse.Namespace, *, progress: Callable[[Iterable], Iterable]) -> int:
    """Write the set and say what was done; returns the exit code."""
    config = read_options(args, NoiseConfig)
    target = read_options(args, NoiseTarget, created_by=_command(args), progress=progress)
    manifest = write_noisy(args.paths, config, target)
    print(
        f"{counted(manifest.num_samples, 'sample')} in {counted(len(manifest.shards), 'shard')} "
        f"({manifest.num_bytes / 1e6:,.1f} MB) -> {target.out_dir}"
    )
    noise = manifest.origin.details["noise"]
    assert isinstance(noise, dict)
    tell(
        folder=target.out_dir,
        num_samples=manifest.num_samples,
        num_shards=len(manifest.shards),
        num_bytes=manifest.num_bytes,
        counts=noise["counts"],
        skipped=manifest.skipped,
    )
    for name, count in noise["counts"].items():
        print(f"  {name:<40} {count:>9,}")
    for reason, count in manifest.skipped.items():
        print(f"  skipped {count:,}: {reason} (e.g. {manifest.skipped_examples[reason][0]})")
    return 0


def _command(args: argparse.Namespace) -> str:
    """The command without its output folder: the same input then gives the same manifest."""
    words = ["vlsuite data noise", *args.paths]
    words += [f"--mismatched {args.mismatched} --permutation {args.permutation}"]
    words += [f"--partial {args.partial} --kind {args.kind} --phrases {args.phrases}"]
    words += [f"--seed {args.seed}", *(["--clean-only"] if args.clean_only else [])]
    return " ".join(words)
