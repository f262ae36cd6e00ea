"""Which training method stands wrong captions best, and does it know which ones are wrong?

Trains the study of ``vlsuite study noise``: methods x shares of wrong captions x seeds, from one
start, on the same number of samples, each method at the learning rate that noisy validation pairs
choose, and judges the goals that are set for it. Without --shards the pairs are the demo's emoji
with their names. The last line has, for each method and rate, recall at 1 in both directions (Last
with its interval, Best), detection of the wrong captions and the share of the oracle's recall; and
the validation figures of all learning rates. --report-only OUT takes the finished runs of a study
as they are.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.support.environment import describe
from benchmarks.support.noise_goals import Goal, goal_table, judged_study
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish, rounded
from benchmarks.support.timed_process import work_folder
from data_pipelines.settings import apply_overrides
from data_pipelines.shards.manifest import MANIFEST_NAME
from data_pipelines.sources.emoji import EmojiSource
from data_pipelines.sources.source import Target
from data_pipelines.sources.synthetic import SyntheticSource
from eval.studies.noise.grid import Cell, StudyConfig, cells_for_goals, cells_of, default_cells
from eval.studies.noise.records import load_cells, refuse_other_study
from eval.studies.noise.report import StudyReport, write_report
from eval.studies.noise.run import run_study

_QUICK_METHODS, _QUICK_RATES, _QUICK_PAIRS = ("infonce", "rde"), (0.0, 0.5), 400
_QUICK = (
    "pretrain_epochs=2", "epochs=1", "batch_size=32", "vocab_size=512", "test_share=0.15",
    "validation_share=0.1", "lr_grid=3e-4,1e-3",
)  # fmt: skip


def main() -> int:
    """Run the measurement; returns the exit code."""
    return _measure(_parse())


def _measure(args: argparse.Namespace) -> int:
    environment = describe()
    if args.report_only is not None:
        report = write_report(args.report_only, seed=args.seed)
        goals = judged_study(load_cells(args.report_only), seed=args.seed)
    elif args.out is not None:
        report, goals = _trained(args, args.out)
    else:
        with work_folder("noise_study", parent=None) as work:
            report, goals = _trained(args, work)
    print(f"{report.text}\n\n{goal_table(goals)}")
    if report.page.exists():
        print(f"\nreport: {report.page}")
    config = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    config["study"] = report.summary["settings"]
    figures = _figures(report.summary, goals)
    finish("noise_study", figures, environment, config=config, save=args.save)
    return 0


def _trained(args: argparse.Namespace, out: Path) -> tuple[StudyReport, list[Goal]]:
    config = _config(args, out)
    refuse_other_study(out, config.digest)
    run_study(config, _cells(args), out, jobs=args.jobs)
    report = write_report(out, digest=config.digest, seed=args.seed)
    return report, judged_study(load_cells(out, digest=config.digest), seed=args.seed)


def _config(args: argparse.Namespace, out: Path) -> StudyConfig:
    shards = tuple(args.shards) or (str(_default_pairs(args, out / "pairs")),)
    chosen = [*(_QUICK if args.quick else ()), *args.set]
    return apply_overrides(StudyConfig(shards=shards), chosen)


def _default_pairs(args: argparse.Namespace, folder: Path) -> Path:
    """Emoji, or drawn shapes where only the command itself is tried."""
    if args.quick:
        found, source = folder, SyntheticSource(num_samples=_QUICK_PAIRS, side=32, seed=args.seed)
    else:
        found, source = folder / "train", EmojiSource(seed=args.seed)
    if not (found / MANIFEST_NAME).is_file():
        source.build(Target(out_dir=folder, overwrite=folder.exists()))
    return found


def _cells(args: argparse.Namespace) -> list[Cell]:
    if args.quick:
        return cells_of(_QUICK_METHODS, _QUICK_RATES, 1, first_seed=args.seed)
    chosen = cells_for_goals if args.goals_only else default_cells
    return chosen(args.seeds, first_seed=args.seed)


def _figures(summary: Mapping[str, Any], goals: Sequence[Goal]) -> dict[str, Any]:
    return {
        "results": {
            method: {rate: _row(found) for rate, found in rates.items()}
            for method, rates in summary["results"].items()
        },
        "zero_shot_cosine": {
            rate: {name: rounded(found.get(name)) for name in ("auroc", "f1")}
            for rate, found in summary["zero_shot_detection"].items()
        },
        "goals": [
            goal | {"found": rounded(goal["found"])} for goal in (one.to_dict() for one in goals)
        ],
        "num_test": summary["num_test"],
        "tuning": summary["tuning"],
    }


def _row(found: Mapping[str, Any]) -> dict[str, Any]:
    detection = found["detection"] or {}
    recalls = {
        name: {kind: rounded(found[name][kind]) for kind in ("last", "best")}
        for name in ("r1_i2t", "r1_t2i", "r5_i2t", "r5_t2i")
    }
    return {
        **recalls,
        "auroc": rounded(detection.get("auroc")),
        "f1": rounded(detection.get("f1")),
        "scored_by": detection.get("scored_by"),
        "share_of_oracle": rounded(found["share_of_oracle"]),
        "lr": found["lr"],
        "retention": rounded(found["retention"]),
        "best_minus_last": rounded(found["best_minus_last"]),
        "false_flag_rate": rounded(detection.get("false_flag_rate")),
        "estimated_rate": rounded(detection.get("estimated_rate")),
        "seeds": len(found["seeds"]),
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--shards", nargs="+", default=[], help="pairs with honest captions (default: emoji)")
    add("--out", type=Path, help="folder of the study, kept and continued (default: a temporary)")
    add("--jobs", type=int, default=2, help="runs at a time (default: %(default)s)")
    add("--seeds", type=int, default=3, help="where methods are compared (default: %(default)s)")
    add("--goals-only", action="store_true", help="only the runs that the goals need")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="of the study")
    add("--report-only", type=Path, metavar="OUT", help="train nothing")
    add("--seed", type=int, default=0, help="the first seed, and that of all draws")
    add(
        "--quick",
        action="store_true",
        help=f"under a minute: {', '.join(_QUICK_METHODS)} on {_QUICK_PAIRS} drawn shapes",
    )
    add("--save", action="store_true", help="also write benchmarks/results/")
    return parser.parse_args()


if __name__ == "__main__":
    run_as_program(main)
