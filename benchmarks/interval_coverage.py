"""How often do the suite's 95% intervals hold the true figure, and how many marks are chance?

Samples of 5 to 2,000 images are drawn from populations whose true figure is known, edges included
(perfect and near-perfect scores, tiny groups, few clusters, equal values), and each score's own
interval is taken. "wide" are intervals that cover more than 97 %: bounds that promise at least
95 %, and discrete figures of few images; "low" are those below 93 %, of which the study's
own noise (two standard errors) explains some. An interval that a method
refuses ("no interval") counts neither way; its share is shown.

The second part compares two equal models on as many scores as a run of the suite has, many of
them of the same images, and counts the differences that are marked: by each interval alone, and
after the correction of ``vlsuite eval compare``.
"""

import argparse
import math
import sys
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from benchmarks.support import coverage_means, coverage_others
from benchmarks.support.coverage_means import Case
from benchmarks.support.environment import describe
from benchmarks.support.report import finish
from eval.metrics.effective_trials import Limits
from eval.metrics.paired import paired_shares
from eval.metrics.several_tests import LEVEL, holm

_NAME = "interval_coverage"
_LEAST, _MOST = 0.93, 0.97
_QUICK = {"samples": 20, "slow_samples": 4, "runs": 2}


def main() -> int:
    """Run the benchmark and print its table and figures."""
    args = _parse()
    print(f"{'score':29} {'population':34} {'n':>5} {'covers':>7} {'+-':>5} {'none':>5}")
    rows: list[dict[str, Any]] = []
    for case in _cases():
        for n in case.sizes:
            measured = _measured(case, n, args)
            for row in measured:
                _print_row(row)
            rows += measured
    by_score: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        sizes = by_score.setdefault(row["score"], {}).setdefault(row["population"], {})
        sizes[str(row["n"])] = row["coverage"]
    marks = _false_marks(args)
    print(
        f"\nequal models, {args.scores} scores: marked {marks['per_run_by_interval']:.1f} a run by "
        f"the interval alone, {marks['per_run_by_holm']:.2f} after Holm's correction; runs with "
        f"any mark: {marks['runs_with_any_by_interval']:.0%} and "
        f"{marks['runs_with_any_by_holm']:.0%}"
    )
    low = [_told(row) for row in rows if row["coverage"] < _LEAST]
    wide = [_told(row) for row in rows if row["coverage"] > _MOST]
    print(f"{len(rows)} cells: {len(low)} below 93 %, {len(wide)} above 97 %")
    figures: dict[str, Any] = {
        "coverage": by_score,
        "cells": len(rows),
        "below_93": low,
        "below_93_beyond_noise": [_told(row) for row in rows if _is_low(row)],
        "above_97": wide,
        "methods": {f"{r['score']}, n = {r['n']}": r["methods"] for r in rows},
        "largest_standard_error": round(max(row["error"] for row in rows), 4),
        "false_marks": marks,
    }
    finish(_NAME, figures, describe(), config=vars(args), save=args.save)
    return 0


def _cases() -> Iterator[Case]:
    means, others = coverage_means, coverage_others
    return chain(
        means.shares(),
        means.means(),
        means.differences(),
        means.recalls(),
        others.extremes(),
        others.areas(),
        others.calibrations(),
        others.rankings(),
        others.robustness(),
    )


def _measured(case: Case, n: int, args: argparse.Namespace) -> list[dict[str, Any]]:
    samples = args.slow_samples if case.is_slow else args.samples
    if case.is_slow and n >= 2000:
        samples = max(samples // 4, 4)
    key = zlib.crc32("/".join([case.population, *case.truths]).encode())
    rng = np.random.default_rng([args.seed, key, n])
    found = [case.limits(rng, n) for _ in range(samples)]
    return [
        _row(name, case.population, n, truth, [limits[name] for limits in found])
        for name, truth in case.truths.items()
    ]


def _row(
    score: str, population: str, n: int, truth: float, found: Sequence[Limits]
) -> dict[str, Any]:
    known = [limits for limits in found if not math.isnan(limits.low)]
    # A true figure at the end of its range is held by an interval that ends there.
    held = sum(limits.low - 1e-9 <= truth <= limits.high + 1e-9 for limits in known)
    coverage = held / len(known) if known else 1.0
    return {
        "score": score,
        "population": population,
        "n": n,
        "coverage": round(coverage, 4),
        "error": math.sqrt(max(coverage * (1 - coverage), 0.0475) / max(len(known), 1)),
        "none": 1 - len(known) / len(found),
        "methods": sorted({limits.method for limits in found}),
    }


def _print_row(row: dict[str, Any]) -> None:
    verdict = ""
    if row["coverage"] < _LEAST:
        verdict = "  low" if _is_low(row) else "  low, within the study's own noise"
    elif row["coverage"] > _MOST:
        verdict = "  wide"
    print(
        f"{row['score']:29} {row['population']:34} {row['n']:5} {row['coverage']:7.1%} "
        f"{row['error']:5.1%} {row['none']:5.0%}{verdict}",
        flush=True,
    )


def _is_low(row: dict[str, Any]) -> bool:
    """Whether so few of so many samples say more than chance."""
    return row["coverage"] + 2 * row["error"] < _LEAST


def _told(row: dict[str, Any]) -> str:
    return f"{row['score']}, {row['population']}, n = {row['n']}: {row['coverage']:.3f}"


def _false_marks(args: argparse.Namespace) -> dict[str, float]:
    """Equal models: an eighth of the scores is on the same images and goes together."""
    rng = np.random.default_rng([args.seed, 1])
    by_interval, by_holm = [], []
    for _ in range(args.runs):
        p_values, excluded = [], 0
        for place in range(args.scores):
            if place % 8 == 0:
                shared = rng.random((2, 1000))
            levels = 0.7 * shared + 0.3 * rng.random((2, 1000))
            found = paired_shares(*(levels < rng.uniform(0.3, 0.7)))
            excluded += found.difference.low > 0 or found.difference.high < 0
            p_values.append(found.p_value)
        by_interval.append(excluded)
        by_holm.append(sum(p <= LEVEL for p in holm(p_values)))
    one, two = np.array(by_interval), np.array(by_holm)
    return {
        "per_run_by_interval": float(one.mean()),
        "per_run_by_holm": float(two.mean()),
        "runs_with_any_by_interval": float((one > 0).mean()),
        "runs_with_any_by_holm": float((two > 0).mean()),
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=1000, help="of each population and size")
    parser.add_argument(
        "--slow-samples", type=int, default=120, help="the same where intervals resample"
    )
    parser.add_argument("--runs", type=int, default=40, help="comparisons of equal models")
    parser.add_argument("--scores", type=int, default=407, help="of each (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help=f"under a minute: {_QUICK}")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        vars(args).update(_QUICK)
    return args


if __name__ == "__main__":
    sys.exit(main())
