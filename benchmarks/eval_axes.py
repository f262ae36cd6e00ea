"""Does one command give every axis its figures, and do others compute the same ones?

``vlsuite eval MODEL --task all`` runs once over CIFAR-10's test pictures, a natural shift of them
(ImageNet photos of its classes), 1,000 ImageNet photos, and cut-out pictures. From the stored
embeddings ECE, NLL, Brier score, AUROC, AUPR and both FPR95 are then computed again by
torchmetrics, scikit-learn and float64 loops. The command is killed once on the way and started
again, and a second evaluation runs undisturbed: their result files must be the same bytes.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.support import axes_check, axes_data
from benchmarks.support.data_folder import VARIABLE, folder_with
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import BenchmarkError, work_folder

_NEEDED = (
    "cifar10-test-000000.tar",
    "cifar10-classnames.txt",
    "imagenet-samples-000000.tar",
    "stamps-000000.tar",
)
_QUICK = {"max_images": 20, "steps": 2, "only_zero_shot": True}


def main() -> int:
    """Run the measurement; returns the exit code."""
    return _measure(_parse())


def _measure(args: argparse.Namespace) -> int:
    args.data = folder_with(args.data, *_NEEDED)
    environment = describe()
    with work_folder("eval_axes", parent=args.work) as work:
        command = _command(args, work)
        started = time.perf_counter()
        print("one command, killed on the way and started again ...", flush=True)
        kills = _run_with_kill(command, work, "first", seconds=args.kill_after)
        seconds = time.perf_counter() - started
        print("the same, undisturbed ...", flush=True)
        quiet = time.perf_counter()
        _run(command, work, "second")
        quiet = time.perf_counter() - quiet
        same = _same_files(work / "first", work / "second")
        results = [json.loads(path.read_text()) for path in sorted((work / "first").glob("*.json"))]
        for result in results:
            _print(result)
        differences = axes_check.largest_differences(
            results, args.model, work / "cache-first", work / "cifar10-test", args.data
        )
        not_measured = [
            line for line in (work / "first.log").read_text().splitlines()
            if line.startswith("not measured:")
        ]  # fmt: skip
    measured = Counter(result["benchmark"] for result in results)
    print("\ntasks with figures:", ", ".join(sorted(measured)))
    for name, value in differences.items():
        print(f"largest difference of {name}: {value:.1e}")
    figures = {
        "tasks": sorted(measured),
        "results": len(results),
        "scores": sum(len(result["scores"]) for result in results),
        "largest_difference": max(differences.values(), default=None),
        "differences": differences,
        "kills": kills,
        "files_identical": same,
        "seconds": round(quiet, 1),
        "seconds_with_kill": round(seconds, 1),
        "not_measured": sorted(set(not_measured)),
        "headlines": {
            f"{r['benchmark']} {r['dataset']}": {
                name: [round(score[key], 4) for key in ("value", "low", "high")]
                for name, score in list(r["scores"].items())[:6]
            }
            for r in results
        },
    }
    config = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    finish("eval_axes", figures, environment, config=config, save=args.save)
    return 0


def _command(args: argparse.Namespace, work: Path) -> list[str]:
    """Everything but --out and --cache."""
    names = (args.data / "cifar10-classnames.txt").read_text().split()
    lines = ("a photo of a {c}",)
    photos = args.data / "imagenet-samples-000000.tar"
    shard = args.data / "cifar10-test-000000.tar"
    cifar = axes_data.link_shard(work / "cifar10-test", shard, names, lines)
    sets = [cifar]
    task = "zero_shot"
    if not args.only_zero_shot:
        task = "all"
        shifted = axes_data.write_cifar_photos(
            work / "cifar10-photos", photos, names, lines, base="cifar10-test"
        )
        sets += [
            shifted,
            axes_data.write_imagenet(work / "imagenet-1000", photos, lines),
            axes_data.write_cutouts(
                work / "cutouts", args.data / "stamps-000000.tar", count=args.max_images
            ),
        ]
    words = [sys.executable, "-m", "vlsuite", "eval", str(args.model), "--task", task]
    for one in sets:
        words += ["--data", str(one)]
    options: dict[str, Any] = {}
    if not args.only_zero_shot:
        words += ["--ood", str(photos), "--base", str(cifar)]
        words += ["--backgrounds", str(photos)]
        options = {
            "corruptions.max_images": args.max_images,
            "perturbations.max_images": args.max_images,
            "translation.max_images": args.max_images,
            "attack.max_images": min(args.max_images, args.attacked),
            "attack.steps": args.steps,
            "ood.template": "a photo of a {c}",
        }
    for key, value in options.items():
        words += ["--set", f"{key}={value}"]
    return [*words, "--seed", str(args.seed), "--examples", "0", "--batch-size", "128"]


def _run(command: list[str], work: Path, name: str) -> None:
    log = work / f"{name}.log"
    with log.open("a") as stream:
        done = subprocess.run(
            _with_places(command, work, name), stdout=stream, stderr=stream, check=False
        )
    if done.returncode:
        raise BenchmarkError(f"vlsuite eval ended with {done.returncode}; its output: {log}")


def _run_with_kill(command: list[str], work: Path, name: str, *, seconds: float) -> int:
    """Start, kill while a pass over pictures is under way, start again.

    Returns:
        How often it was killed: 1, or 0 where no pass was under way after ``seconds``.
    """
    with (work / f"{name}-killed.log").open("a") as stream:
        process = subprocess.Popen(
            _with_places(command, work, name), stdout=stream, stderr=stream, start_new_session=True
        )
        started, kills = time.monotonic(), 0
        while process.poll() is None:
            is_due = time.monotonic() - started > seconds
            if is_due and next((work / f"cache-{name}").rglob("part-*"), None):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                kills = 1
            time.sleep(0.05)
    _run(command, work, name)
    return kills


def _with_places(command: list[str], work: Path, name: str) -> list[str]:
    """The same words in every run but these, which the results do not depend on."""
    return [*command, "--out", str(work / name), "--cache", str(work / f"cache-{name}")]


def _same_files(first: Path, second: Path) -> bool:
    """Whether both folders hold the same results; the command names its folders, so not that."""
    names = sorted(path.name for path in first.glob("*.json"))
    if names != sorted(path.name for path in second.glob("*.json")) or not names:
        return False
    differing = [n for n in names if _without_command(first / n) != _without_command(second / n)]
    for name in differing:
        pairs = zip(
            _without_command(first / name).splitlines(),
            _without_command(second / name).splitlines(),
            strict=False,
        )
        print(f"differs: {name}: {next((p for p in pairs if p[0] != p[1]), 'length')}")
    return not differing


def _without_command(path: Path) -> str:
    lines = path.read_text().splitlines()
    return "\n".join(line for line in lines if not line.strip().startswith('"command"'))


def _print(result: dict[str, Any]) -> None:
    print(f"\n{result['benchmark']} on {result['dataset']} ({result['num_samples']:,} images)")
    for name, score in list(result["scores"].items())[:8]:
        print(f"  {name:<40} {score['value']:8.4f}  ({score['low']:.4f} to {score['high']:.4f})")
    if len(result["scores"]) > 8:
        print(f"  ... {len(result['scores']) - 8} more")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="run or exported folder")
    parser.add_argument("--data", type=Path, help=f"folder with the shards; else ${VARIABLE}")
    parser.add_argument(
        "--class-names", type=Path, help="default: cifar10-classnames.txt of --data"
    )
    parser.add_argument("--max-images", type=int, default=300, help="of the dear tasks")
    parser.add_argument("--attacked", type=int, default=100, help="images under attack at most")
    parser.add_argument("--steps", type=int, default=20, help="of each attack")
    parser.add_argument(
        "--kill-after", type=float, default=8.0, help="seconds before the first chance of a kill"
    )
    parser.add_argument("--work", type=Path, help="parent of the working folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-zero-shot", action="store_true", help="one task on CIFAR-10")
    parser.add_argument("--quick", action="store_true", help=f"under a minute: {_QUICK}")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        vars(args).update(_QUICK)
    args.model = args.model.resolve()
    return args


if __name__ == "__main__":
    run_as_program(main)
