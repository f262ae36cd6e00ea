"""How near does the order of training come to a full shuffle, and what does reading in it cost?

First by the order alone, for sets of 20 to 10,000 shards: from how many shards the samples of a
batch come, and how its pairs of samples collide: of all pairs in a batch, those of one shard, those
that are neighbours in one (nearer than 16 rows), and those that are in one batch again in the next
epoch. Beside it stands what a permutation drawn at random gives, exactly, and the order that runs
had before windows were a setting, ten shards at a time.

Then by reading samples, undecoded, from real tars in fresh processes that alternate, as one process
alone does, and as one of 16 does, which reads fewer neighbours together. Samples are counted over
seconds of processor time, at first (where each shard is opened) and at best. The tars are hard
links of one (which no part of the reading can tell from different files) in a warm page cache, so
that what is measured is our own work.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.shuffle_orders import Mixing, full_shuffle, measure
from benchmarks.support.shuffle_reading import RULES, Reading, read

_COUNTS = (20, 100, 1_000, 10_000)
_PROCESSES = (1, 16)


def main() -> None:
    """Run the benchmark."""
    args = _parse()
    environment = describe()
    mixing = {str(count): _mixing(count, args) for count in args.shards}
    _show_mixing(mixing, args)
    reading = _reading(args)
    _show_reading(reading, args)
    finish(
        "shuffle_quality",
        {"mixing": mixing, "reading": reading},
        environment,
        config={
            "batch": args.batch,
            "per_shard": args.per_shard,
            "batches": args.batches,
            "read_shards": args.read_shards,
            "read_per_shard": args.read_per_shard,
            "steps": args.steps,
            "rounds": args.rounds,
            "seed": args.seed,
        },
        save=args.save,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.shuffle_quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--batch", type=int, default=1024, help="global batch (default 1,024)")
    parser.add_argument("--folder", help="where to make tars; default the temporary folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="smaller sets, under a minute")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    args.shards, args.per_shard, args.batches = _COUNTS, 10_000, 16
    args.read_shards, args.read_per_shard, args.steps, args.rounds = 500, 1_000, 40, 3
    if args.quick:
        args.shards, args.per_shard = _COUNTS[:3], 2_000
        args.read_shards, args.read_per_shard, args.steps, args.rounds = 40, 500, 3, 1
    return args


def _mixing(count: int, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    print(f"orders of {count:,} shards", file=sys.stderr, flush=True)
    found = {"full_shuffle": full_shuffle(count, args.per_shard, args.batch)}
    for rule in ("before", "now"):
        found[rule] = measure(
            rule, count, args.per_shard, args.batch, batches=args.batches, seed=args.seed
        )
    return {rule: _rounded(mixing) for rule, mixing in found.items()}


def _rounded(mixing: Mixing) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in mixing._asdict().items()}


def _reading(args: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        torch.set_num_threads(1)
        _make_set(folder, args)
        rounds: dict[tuple[int, str], list[dict[str, float]]] = {}
        for number in range(args.rounds + 1):  # the first one makes the indexes and is left out
            for size in _PROCESSES:
                for rule in RULES:
                    steps = args.steps * (4 if size > 1 else 1)
                    found = read(
                        Reading(folder / "shards", rule, size, args.batch, steps, args.seed)
                    )
                    if number:
                        rounds.setdefault((size, rule), []).append(found)
    return {
        f"one of {size}": {rule: _medians(rounds[size, rule]) for rule in RULES}
        for size in _PROCESSES
    }


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {
        **{name: median(found[name] for found in rounds) for name in rounds[0]},
        "samples_per_cpu_s_low": min(found["samples_per_cpu_s"] for found in rounds),
        "samples_per_cpu_s_high": max(found["samples_per_cpu_s"] for found in rounds),
    }


def _make_set(folder: Path, args: argparse.Namespace) -> None:
    """One tar of samples as small as thumbnails, linked many times."""
    import numpy as np
    from webdataset.writer import TarWriter

    print(f"making {args.read_shards:,} shards", file=sys.stderr, flush=True)
    rng = np.random.default_rng(args.seed)
    (folder / "shards").mkdir()
    with TarWriter(str(folder / "one.tar")) as writer:
        for number in range(args.read_per_shard):
            key = rng.bytes(16).hex()
            picture = rng.bytes(int(rng.integers(2_000, 12_000)))
            writer.write({"__key__": key, "jpg": picture, "txt": f"picture {number}"})
    for number in range(args.read_shards):
        os.link(folder / "one.tar", folder / "shards" / f"{number:06d}.tar")


def _show_mixing(mixing: dict[str, dict[str, dict[str, float]]], args: argparse.Namespace) -> None:
    print(
        f"\nbatches of {args.batch:,} from shards of {args.per_shard:,} samples\n"
        f"{'shards':>8} {'order':13}{'shards':>8}{'same shard':>12}{'neighbours':>12}"
        f"{'meet again':>12}\n{'':22}{'a batch':>8}{'of 1,000':>12}{'of a million':>12}"
        f"{'of a million':>13}"
    )
    for count, rules in mixing.items():
        for rule, found in rules.items():
            print(
                f"{int(count):>8,} {rule.replace('_', ' '):13}{found['shards']:>8.1f}"
                f"{found['same_shard']:>12.2f}{found['neighbours']:>12.1f}"
                f"{found['meet_again']:>12.1f}"
            )


def _show_reading(reading: dict[str, Any], args: argparse.Namespace) -> None:
    print(
        f"\nreading from {args.read_shards:,} tars of {args.read_per_shard:,} samples\n"
        f"{'process':>10} {'order':12}{'a CPU s':>10}{'at first':>10}{'open files':>12}"
        f"{'first batch, s':>16}{'memory added, MB':>18}"
    )
    for who, rules in reading.items():
        for rule, found in rules.items():
            print(
                f"{who:>10} {rule:12}{found['samples_per_cpu_s']:>10,}"
                f"{found['samples_per_cpu_s_at_first']:>10,}{found['open_files']:>12}"
                f"{found['first_batch_s']:>16}{found['added_rss_mb']:>18}"
            )


if __name__ == "__main__":
    run_as_program(main)
