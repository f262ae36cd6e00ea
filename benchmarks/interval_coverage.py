"""How often do the suite's 95% intervals hold the true figure, and how many marks are chance?

Samples of 5 to 2,000 images are drawn from populations whose true figure is known, edges included
(perfect and near-perfect scores, tiny groups, few clusters, equal values), and each score's own
interval is taken. "low" are intervals that cover fewer than 93 % beyond the study's own noise:
an interval of 93 % would hold the truth in so few samples in less than 2.5 % of studies. "wide"
are those that cover more than 97 % beyond noise, samples whose method says "at least 95%" left
out. An interval that a method refuses ("no interval") counts neither way; its share is shown.
Slower intervals take a half or a fifth of the samples.

The second part compares two equal models on as many scores as a run of the suite has, many of
them of the same images, and counts the differences that are marked: by each interval alone, and
after the correction of ``vlsuite eval compare``.
"""

import argparse
import math
import zlib
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from scipy.stats import binom

from benchmarks.support import coverage_means, coverage_others
from benchmarks.support.coverage_means import Case
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from eval.metrics.effective_trials import Limits
from eval.metrics.paired import paired_shares
from eval.metrics.several_tests import LEVEL, holm

_NAME = "interval_coverage"
_LEAST, _MOST = 0.93, 0.97
_QUICK = {"samples": 20, "runs": 2}
_CHANCE = 0.025
_PROMISE = "at least 95%"


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
    figures = _counted(rows) | {"coverage": by_score, "false_marks": marks}
    print(
        f"{len(rows)} cells: {figures['within_93_97']} within 93 to 97 %, "
        f"{len(figures['below_93'])} below, of them {len(figures['below_93_beyond_noise'])} beyond "
        f"noise, {len(figures['above_97'])} above, of them "
        f"{len(figures['above_97_beyond_noise_unnamed'])} beyond noise whose method does not say so"
    )
    finish(_NAME, figures, describe(), config=vars(args), save=args.save)
    return 0


def _counted(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How many cells lie where, and which."""
    low = [row for row in rows if row["coverage"] < _LEAST]
    wide = [row for row in rows if row["coverage"] > _MOST]
    return {
        "cells": len(rows),
        "within_93_97": len(rows) - len(low) - len(wide),
        "below_93": [_told(row) for row in low],
        "below_93_beyond_noise": [_told(row) for row in low if _is_low(row)],
        "above_97": [_told(row) for row in wide],
        "above_97_beyond_noise_unnamed": [_told(row) for row in wide if _is_wide(row)],
        "methods": _methods(rows),
        "largest_standard_error": round(max(row["error"] for row in rows), 4),
    }


def _methods(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """All methods of a score at each size, whatever the population."""
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(f"{row['score']}, n = {row['n']}", set()).update(row["methods"])
    return {name: sorted(methods) for name, methods in found.items()}


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
    samples = max(args.samples // case.samples_over, 1)
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

    def holds(limits: Limits) -> bool:
        # A true figure at the end of its range is held by an interval that ends there.
        return limits.low - 1e-9 <= truth <= limits.high + 1e-9

    plain = [limits for limits in known if _PROMISE not in limits.method]
    held = sum(map(holds, known))
    coverage = held / len(known) if known else 1.0
    return {
        "score": score,
        "population": population,
        "n": n,
        "coverage": round(coverage, 4),
        "error": math.sqrt(max(coverage * (1 - coverage), 0.0475) / max(len(known), 1)),
        "held": held,
        "samples": len(known),
        "none": 1 - len(known) / len(found),
        "others": len(plain),
        "others_held": sum(map(holds, plain)),
        "methods": sorted({limits.method for limits in found}),
    }


def _print_row(row: dict[str, Any]) -> None:
    verdict = ""
    if row["coverage"] < _LEAST:
        verdict = "  low" if _is_low(row) else "  low, within the study's own noise"
    elif row["coverage"] > _MOST:
        verdict = "  wide" if _is_wide(row) else "  wide, as its method says, or by noise"
    print(
        f"{row['score']:29} {row['population']:34} {row['n']:5} {row['coverage']:7.1%} "
        f"{row['error']:5.1%} {row['none']:5.0%}{verdict}",
        flush=True,
    )


def _is_low(row: dict[str, Any]) -> bool:
    """Whether an interval of 93 % would hold the truth in so few samples hardly ever."""
    return bool(row["samples"] and binom.cdf(row["held"], row["samples"], _LEAST) < _CHANCE)


def _is_wide(row: dict[str, Any]) -> bool:
    """Whether intervals that promise 95 % hold the truth more often than 97 % would by chance."""
    others = row["others"]
    return bool(others and binom.sf(row["others_held"] - 1, others, _MOST) < _CHANCE)


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
    parser.add_argument(
        "--samples", type=int, default=1000, help="of each population and size; fewer where slow"
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
    run_as_program(main)
