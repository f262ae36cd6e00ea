"""``vlsuite data noise``: shards written again with captions that are wrong in a known way."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from data_pipelines.noise.build import NoiseTarget, write_noisy
from data_pipelines.noise.mismatch import PERMUTATIONS
from data_pipelines.noise.partial import KINDS
from data_pipelines.noise.plan import NoiseConfig
from data_pipelines.shards.write import DEFAULT_MAX_BYTES

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
    add = parser.add_argument
    add("paths", nargs="+", metavar="SHARDS", help="tar, folder of tars, or pattern")
    add("--out", type=Path, required=True, metavar="DIR", help="folder to write")
    add("--overwrite", action="store_true", help="replace a set that vlsuite wrote there")
    add(
        "--mismatched",
        type=float,
        default=0.0,
        metavar="RATE",
        help="share of the captions that are permuted among each other (default: 0)",
    )
    add(
        "--permutation",
        choices=PERMUTATIONS,
        default=PERMUTATIONS[0],
        help="derangement: no caption true of its image; uniform: RDE's, some may stay "
        "(default: derangement)",
    )
    add(
        "--partial",
        type=float,
        default=0.0,
        metavar="RATE",
        help="share of the captions that are damaged; none of them is mismatched (default: 0)",
    )
    add(
        "--kind",
        choices=KINDS,
        default=KINDS[0],
        help="half of the noun phrases deleted, cut to four words, or one noun phrase of another "
        "caption (default: delete)",
    )
    add(
        "--phrases",
        default="rules",
        metavar="FINDER",
        help="of noun phrases: rules (English), or spacy:MODEL where installed (default: rules)",
    )
    add("--seed", type=int, default=0, help="default: 0")
    add(
        "--clean-only",
        action="store_true",
        help="write only the captions that this noise leaves alone, to train an oracle on",
    )
    add(
        "--shard-samples",
        type=int,
        metavar="N",
        help="of one shard at most (default: as in the largest shard read)",
    )


def run(args: argparse.Namespace, *, progress: Callable[[Iterable], Iterable]) -> int:
    """Write the set and say what was done; returns the exit code."""
    config = NoiseConfig(
        mismatched=args.mismatched,
        partial=args.partial,
        kind=args.kind,
        permutation=args.permutation,
        seed=args.seed,
    )
    target = NoiseTarget(
        out_dir=args.out,
        overwrite=args.overwrite,
        clean_only=args.clean_only,
        phrases=args.phrases,
        max_samples=args.shard_samples,
        max_bytes=DEFAULT_MAX_BYTES,
        created_by=_command(args),
        progress=progress,
    )
    manifest = write_noisy(args.paths, config, target)
    print(
        f"{manifest.num_samples:,} samples in {len(manifest.shards)} shards "
        f"({manifest.num_bytes / 1e6:,.1f} MB) -> {args.out}"
    )
    noise = manifest.origin.details["noise"]
    assert isinstance(noise, dict)
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
