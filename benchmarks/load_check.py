"""What does it cost to compare every model with plain open_clip when it is built?

    python -m benchmarks.load_check --quick
    python -m benchmarks.load_check ViT-B-32 RN50 --rounds 5

Each architecture is built from random weights several times; the first round is warm-up (the
tokenizer's file is read then). Seconds of the check alone stand beside those of everything that
open_clip does to build the model, in the same process, and those of the model's identity.
"""

import argparse
import statistics
import time
from typing import NamedTuple

import torch

from benchmarks.support import environment
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from vlsuite.models.dual_encoder import config as builder
from vlsuite.models.identity import identity


class Round(NamedTuple):
    """Seconds of one build: of open_clip's part, of the check, and of the identity."""

    build: float
    check: float
    identity: float


def measure(name: str) -> Round:
    """Build one architecture from random weights."""
    spent: list[float] = []
    plain = builder.agree_with_open_clip

    def timed(*args: object) -> None:
        start = time.perf_counter()
        plain(*args)  # type: ignore[arg-type]
        spent.append(time.perf_counter() - start)

    builder.agree_with_open_clip = timed  # type: ignore[assignment]
    try:
        start = time.perf_counter()
        built = builder.OpenClipConfig(name=name).build()
        whole = time.perf_counter() - start
    finally:
        builder.agree_with_open_clip = plain
    start = time.perf_counter()
    identity(encoder=built.encoder)
    return Round(whole - spent[0], spent[0], time.perf_counter() - start)


def main() -> None:
    """Measure, print the table and the last line."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.load_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", help="architectures (default ViT-B-32)")
    parser.add_argument("--quick", action="store_true", help="vlsuite-tiny-32 alone, one round")
    parser.add_argument("--rounds", type=int, default=3, help="after the warm-up (default 3)")
    parser.add_argument("--threads", type=int, help="of torch (default: its own choice)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    args = parser.parse_args()
    names = args.names or (["vlsuite-tiny-32"] if args.quick else ["ViT-B-32"])
    rounds = 1 if args.quick else args.rounds
    if args.threads:
        torch.set_num_threads(args.threads)
    figures: dict[str, dict[str, float]] = {}
    print(f"{'architecture':<28}{'open_clip':>12}{'check':>10}{'min':>8}{'max':>8}{'identity':>10}")
    for name in names:
        torch.manual_seed(args.seed)
        measure(name)
        found = [measure(name) for _ in range(rounds)]
        checks = [one.check for one in found]
        figures[name] = {
            "open_clip_s": round(statistics.median(one.build for one in found), 3),
            "check_s": round(statistics.median(checks), 3),
            "check_min_s": round(min(checks), 3),
            "check_max_s": round(max(checks), 3),
            "identity_s": round(statistics.median(one.identity for one in found), 3),
        }
        row = figures[name].values()
        print(
            f"{name:<28}"
            + "".join(f"{v:>{w}.2f}" for v, w in zip(row, (12, 10, 8, 8, 10), strict=True))
        )
    finish(
        "load_check",
        {"seconds": figures},
        environment.describe(),
        config={
            "names": names,
            "rounds": rounds,
            "seed": args.seed,
            "threads": torch.get_num_threads(),
        },
        save=args.save,
    )


if __name__ == "__main__":
    run_as_program(main)
