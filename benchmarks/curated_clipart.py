"""Does curation make a better CLIP of the same pool at the same number of samples seen?

The pool is clip art whose captions are file names: the shards clipart-*.tar of --data. One recipe
drops near-duplicates by their pixels, and captions lose credits ("tennis shoe ada byron 01")
and running numbers. A small CLIP is trained on the raw and on the curated pairs, the same number of
samples, several seeds, and asked for held-out clip art (with cleaned captions, and as named) and
for the stamps (stamps-*.tar). Recall is the mean of both directions; differences have intervals
over trainings and test pairs, both paired. With --out, finished runs are kept and not repeated.
"""

import argparse
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.support.clipart_runs import (
    RunSettings,
    compared,
    places_path,
    run_name,
    train_and_measure,
)
from benchmarks.support.clipart_sets import CURATED, RAW, TESTS, SetSettings, make_sets
from benchmarks.support.data_folder import folder_with
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import BenchmarkError, work_folder
from eval.studies.processes import Task, run_tasks, task_pool
from eval.studies.training import make_tokenizer

_VOCABULARY = 4096
_PLAN = "plan.json"


def main() -> int:
    """Run the measurement; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of clipart-*.tar and stamps-*.tar")
    parser.add_argument("--out", type=Path, help="keep sets and runs here, and go on from there")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=200_000, help="seen by each run")
    parser.add_argument("--threshold", type=float, default=0.98, help="cosine of pixels")
    parser.add_argument("--architecture", default="vlsuite-micro-32")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="of each run")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals' draws")
    parser.add_argument("--quick", action="store_true", help="600 pairs, 2 seeds, 2,560 samples")
    parser.add_argument("--save", action="store_true", help="append the record to results/")
    args = parser.parse_args()
    if args.seeds < 1 or args.samples < 1:
        raise BenchmarkError("--seeds and --samples must be 1 or more")
    if args.quick:
        args.seeds, args.samples, args.batch_size = 2, 2560, 64
    environment = describe()
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        figures = _measured(args, args.out.resolve())
    else:
        with work_folder("curated_clipart", parent=None) as work:
            figures = _measured(args, work)
    config = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    finish("curated_clipart", figures, environment, config=config, save=args.save)
    return 0


def _measured(args: argparse.Namespace, work: Path) -> dict[str, Any]:
    runs = RunSettings(
        architecture=args.architecture,
        samples=args.samples,
        batch_size=args.batch_size,
        lr=args.lr,
        threads=args.threads,
    )
    figures = _sets(args, work, runs)
    (work / "runs").mkdir(exist_ok=True)
    # seed by seed, so that a study that was stopped has pairs
    tasks = [
        Task(run_name(arm, seed), train_and_measure, (work, arm, seed, runs))
        for seed in range(args.seeds)
        for arm in (RAW, CURATED)
        if not places_path(work, arm, seed).is_file()
    ]
    preload = ["benchmarks.support.clipart_runs"]
    with task_pool(args.jobs, threads=args.threads, preload=preload) as pool:
        figures["cpu_seconds"] = round(run_tasks(pool, tasks, work / "runs", what="run"))
    results = compared(work, args.seeds, seed=args.seed)
    _show(figures, results)
    return {**figures, "results": results}


def _sets(args: argparse.Namespace, work: Path, runs: RunSettings) -> dict[str, Any]:
    """Make the sets, or what was counted when they were made for the same settings."""
    settings = SetSettings(
        threshold=args.threshold, test_share=0.12, most=600 if args.quick else None
    )
    plan = {"sets": asdict(settings), "runs": asdict(runs)}
    path = work / _PLAN
    if path.is_file():
        stored = json.loads(path.read_text())
        if stored["plan"] != plan:
            raise BenchmarkError(f"{work} holds a study of other settings; choose another --out")
        return stored["figures"]
    data = folder_with(args.data, "clipart-*.tar", "stamps-*.tar")
    clipart, stamps = sorted(data.glob("clipart-*.tar")), sorted(data.glob("stamps-*.tar"))
    with work_folder("sets", parent=work) as fresh:
        figures = make_sets(clipart, stamps, fresh, settings)
        captions = json.loads((fresh / "captions.json").read_text())
        make_tokenizer(
            captions, fresh / "tokenizer", name=args.architecture, vocab_size=_VOCABULARY
        )
        for name in (RAW, CURATED, *TESTS, "tokenizer"):
            shutil.rmtree(work / name, ignore_errors=True)
            (fresh / name).replace(work / name)
    path.write_text(json.dumps({"plan": plan, "figures": figures}, indent=1))
    return figures


def _show(figures: dict[str, Any], results: dict[str, dict[str, Any]]) -> None:
    for name, value in figures.items():
        print(f"  {name:20} {value}")
    print(f"  {'test':18}{'recall at':>10}{'raw':>8}{'curated':>9}   difference (95%)")
    for test, rows in results.items():
        for name, row in rows.items():
            gain = row["difference"]
            ends = [gain[end] for end in ("low", "high")]
            told = "" if None in ends else f"{ends[0]:+.3f} to {ends[1]:+.3f}"
            rank = name.rpartition("_")[2]
            print(
                f"  {test:18}{rank:>10}{row['raw']:8.3f}{row['curated']:9.3f}   "
                f"{gain['value']:+.3f} ({told})"
            )


if __name__ == "__main__":
    run_as_program(main)
