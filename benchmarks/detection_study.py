"""Does distillation let a detector find what nobody marked, on two cores?

Runs ``vlsuite study detection``: scenes of sprites, a small CLIP as teacher, one localizer trained
on base names, and a head by mode and seed on it; then judges the goals that are set for it. The
last line has AP50 of novel and base names with intervals for each mode, the differences, the
controls and the wall clock. --report-only OUT takes the finished heads of a study as they are.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.support.detection_goals import Goal, goal_table, judged
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish, rounded
from benchmarks.support.timed_process import work_folder
from data_pipelines.settings import apply_overrides
from eval.studies.detection.report import StudyReport, write_report
from eval.studies.detection.run import run_study
from eval.studies.detection.settings import MODES, DetectionStudyConfig, cells_of

QUICK = (
    "categories=60", "train=32", "validation=6", "test=8", "teacher_pairs=64", "teacher_epochs=1",
    "least_top1=0", "side=64", "sprite_sizes=12,28", "width=32", "head_width=32",
    "localizer_steps=3", "batch_size=4", "regions=6", "views=1", "steps=4",
    "regions_per_picture=8", "proposals=12",
)  # fmt: skip


def main() -> int:
    """Run the measurement; returns the exit code."""
    return _measure(_parse())


def _measure(args: argparse.Namespace) -> int:
    environment = describe()
    if args.report_only is not None:
        report = write_report(args.report_only, seed=args.seed)
    elif args.out is not None:
        report = _trained(args, args.out)
    else:
        with work_folder("detection_study", parent=None) as work:
            report = _trained(args, work)
    goals = judged(report.summary)
    print(f"{report.text}\n\n{goal_table(goals)}")
    if report.page.exists():
        print(f"\nreport: {report.page}")
    config = {name: _shown(value) for name, value in vars(args).items()}
    study = report.summary["settings"]
    config["study"] = study | {"backgrounds": [Path(p).name for p in study["backgrounds"]]}
    figures = figures_of(report.summary, goals)
    finish("detection_study", figures, environment, config=config, save=args.save)
    return 0


def _trained(args: argparse.Namespace, out: Path) -> StudyReport:
    begun = DetectionStudyConfig(backgrounds=tuple(args.backgrounds))
    config = apply_overrides(begun, [*(QUICK if args.quick else ()), *args.set])
    cells = cells_of(MODES, 1 if args.quick else args.seeds, first_seed=args.seed)
    run_study(config, cells, out, jobs=args.jobs)
    return write_report(out, judged=config.judged, digest=config.digest, seed=args.seed)


def figures_of(summary: Mapping[str, Any], goals: Sequence[Goal]) -> dict[str, Any]:
    """What is kept of a study.

    Args:
        summary: of ``eval.studies.detection.summary``.
        goals: judged.
    """
    return {
        "results": {
            mode: {
                "novel_ap50": rounded(found["ap50"]["novel"]),
                "base_ap50": rounded(found["ap50"]["base"]),
                "ap50_by_seed": found["ap50_by_seed"],
                "permuted_novel_ap50": rounded(found["permuted_novel"]),
                "train_seconds": found["train_seconds"],
                "detect_seconds": found["detect_seconds"],
            }
            for mode, found in summary["results"].items()
        },
        "differences": {
            name: {group: rounded(one) for group, one in found.items()}
            for name, found in summary["differences"].items()
        },
        "shuffled_novel_ap50": rounded(summary["shuffled"]["novel"]),
        "teacher_top1": rounded(summary["teacher_top1"]),
        "proposals": rounded(summary["proposals"]),
        "scenes": summary["scenes"],
        "num_pictures": summary["num_pictures"],
        "intervals": summary["intervals"],
        "stage_seconds": summary["stage_seconds"],
        "wall_clock_seconds": summary["wall_clock_seconds"],
        "processor_seconds": summary["processor_seconds"],
        "goals": [goal.to_dict() for goal in goals],
    }


def _shown(value: Any) -> Any:
    """Folders by their names: where they lie is no setting."""
    if isinstance(value, Path):
        return value.name
    return [Path(one).name for one in value] if isinstance(value, list) else value


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--backgrounds", nargs="+", default=[], help="photographs (default: textures, made up)")
    add("--out", type=Path, help="folder of the study, kept and continued (default: a temporary)")
    add("--jobs", type=int, default=2, help="processes at a time (default: %(default)s)")
    add("--seeds", type=int, default=3, help="heads of each mode (default: %(default)s)")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="of the study")
    add("--report-only", type=Path, metavar="OUT", help="train nothing")
    add("--seed", type=int, default=0, help="the first seed, and that of all draws")
    add("--quick", action="store_true", help="under a minute: everything on a few tiny pictures")
    add("--save", action="store_true", help="also write benchmarks/results/")
    return parser.parse_args()


if __name__ == "__main__":
    run_as_program(main)
