"""What does it cost to divide pairs into clean and noisy while training, and how often is a
right pair called noisy?

The real training loop runs in this process on pairs without noise, once an arm in each round.
An evaluator that only looks at the clock marks the end of each epoch; the first one is warm-up.
Arms with the same loss with and without division show what the division costs; arms against
InfoNCE on the same model, what the whole objective costs. Without a GPU the time is the CPU time
of this process (one thread, no data workers), which hardly depends on what else the machine does;
wall time stands beside it, and is the time on a GPU. Afterwards both dividing objectives train
from the start, with a longer warm-up; the share of all pairs they then call noisy, with more than
even probability, is the false flag rate: no pair of this data is mismatched.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.support import environment
from benchmarks.support.program import run_as_program
from benchmarks.support.real_runs import make_data
from benchmarks.support.report import finish

_SELECTION_WIDTH = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Arm:
    """One objective on one of two models.

    Attributes:
        objective: settings of it.
        selects: the model has a token-selection embedding.
    """

    objective: tuple[str, ...]
    selects: bool = False


ARMS = {
    "clip": Arm(objective=("objective=clip",)),
    "nitc, no effect": Arm(objective=("objective=nitc", "objective.strength=0")),
    "nitc": Arm(objective=("objective=nitc",)),
    "clip, two embeddings": Arm(objective=("objective=clip",), selects=True),
    "rde, not divided": Arm(
        objective=("objective=rde", "objective.tau=0.05", "objective.divide=false"), selects=True
    ),
    "rde": Arm(objective=("objective=rde", "objective.tau=0.05"), selects=True),
}

#: Arm, the arm it is divided by, and what the ratio says.
RATIOS = {
    "nitc_division": ("nitc, no effect", "clip", "division alone, InfoNCE's loss"),
    "rde_division": ("rde", "rde, not divided", "division alone, RDE's loss"),
    "nitc": ("nitc", "clip", "NITC against InfoNCE"),
    "rde": ("rde", "clip, two embeddings", "RDE against InfoNCE, same model"),
    "rde_and_model": ("rde", "clip", "RDE and its second embedding against InfoNCE"),
}

#: Ratios that the goal of 1.05 is about: epoch time against InfoNCE on the same model.
_HEADLINE = ("nitc", "rde")


@dataclass
class Marks:
    """Ends of epochs; stands in the loop as an evaluator that evaluates nothing."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def __call__(self, model: object) -> Sequence[Mapping[str, Any]]:
        self.wall.append(time.perf_counter())
        self.cpu.append(time.process_time())
        return []


def main() -> None:
    args = _parse()
    folder = Path(tempfile.mkdtemp(prefix="division-overhead-", dir=args.folder))
    data = _make_data(folder, args)
    wall: dict[str, list[float]] = {name: [] for name in ARMS}
    cpu: dict[str, list[float]] = {name: [] for name in ARMS}
    for number in range(args.rounds):
        for name, arm in ARMS.items():
            marks = Marks()
            _train(folder, data, arm, args, epochs=args.epochs, warmup=1.0, evaluator=marks)
            wall[name].append(float(np.diff(marks.wall).mean()))
            cpu[name].append(float(np.diff(marks.cpu).mean()))
            seconds = f"{wall[name][-1]:.2f} s an epoch, {cpu[name][-1]:.2f} s of CPU"
            print(f"round {number + 1} {name}: {seconds}", file=sys.stderr, flush=True)
    flagged = {name: _false_flags(folder, data, ARMS[name], args) for name in _HEADLINE}
    shutil.rmtree(folder)
    ratios = {name: _ratios(wall, cpu, *pair[:2]) for name, pair in RATIOS.items()}
    _print_table(args, wall, cpu, ratios, flagged)
    clock = "wall" if torch.cuda.is_available() else "cpu"
    figures = {
        "epoch_time_ratio": max(ratios[name][clock] for name in _HEADLINE),
        "clock": clock,
        "false_flag_rate": max(figure["rate"] for figure in flagged.values()),
        "ratios": ratios,
        "false_flags": flagged,
        "epoch_seconds": wall,
        "epoch_cpu_seconds": cpu,
    }
    names = ("model", "batch", "rounds", "epochs", "train_epochs", "warmup_epochs", "seed")
    config = {name: getattr(args, name) for name in names}
    config["data"] = str(args.data) if args.data else args.made
    finish("division_overhead", figures, environment.describe(), config=config, save=args.save)


def _make_data(folder: Path, args: argparse.Namespace) -> Path:
    """Folder of ``shards`` and ``tokenizer``, made here."""
    from vlsuite.cli.main import main as vlsuite

    if args.made == "shapes":
        make_data(folder, num_samples=240, seed=args.seed)
        return folder
    if not args.data:
        vlsuite(["data", "build", "emoji", "--out", str(folder / "emoji")])
    shards = Path(args.data) if args.data else folder / "emoji" / "train"
    (folder / "shards").symlink_to(shards.resolve())
    tokenizer = ["--vocab-size", "2048", "--out", str(folder / "tokenizer")]
    vlsuite(["data", "tokenizer", str(shards), *tokenizer])
    return folder


def _train(
    folder: Path,
    data: Path,
    arm: Arm,
    args: argparse.Namespace,
    *,
    epochs: float,
    warmup: float,
    evaluator: Marks | None = None,
) -> Any:
    """Train in a run folder that is deleted afterwards; returns the state."""
    from data_pipelines.settings import apply_overrides
    from vlsuite.engine.distributed import start_distributed
    from vlsuite.engine.run_folder import RunFolder
    from vlsuite.engine.train_loop import train
    from vlsuite.recipes.emoji import emoji

    divides = "objective=clip" not in arm.objective
    config = apply_overrides(
        emoji(),
        [
            *arm.objective,
            *([f"objective.division.warmup_epochs={warmup}"] if divides else []),
            f"model.name={args.model}",
            f"model.tokenizer={data / 'tokenizer'}",
            f"model.token_selection.width={_SELECTION_WIDTH if arm.selects else 0}",
            f"data.train={data / 'shards'}",
            "data.num_workers=0",
            f"duration={epochs}epochs",
            f"global_batch_size={args.batch}",
            "checkpoint.every=1000000steps",
            f"validation.every={'1epoch' if evaluator else '1000000steps'}",
            "threads=1",
            f"seed={args.seed}",
        ],
    )
    run = RunFolder(Path(tempfile.mkdtemp(dir=folder)) / "run")
    run.create("division-overhead", config)
    state = train(config, start_distributed(threads=1), run, [evaluator] if evaluator else [])
    shutil.rmtree(run.path.parent)
    return state


def _false_flags(
    folder: Path, data: Path, arm: Arm, args: argparse.Namespace
) -> dict[str, float | int]:
    state = _train(folder, data, arm, args, epochs=args.train_epochs, warmup=args.warmup_epochs)
    # empty, or zeros, where no mixture was found: then no pair is called noisy
    probabilities = np.array(list(state.objective.noise_probabilities().values()))
    return {
        "rate": float((probabilities > 0.5).mean()) if len(probabilities) else 0.0,
        "estimated_noise_share": state.objective.division.noise_share(),
        "pairs": len(probabilities),
    }


def _ratios(
    wall: dict[str, list[float]], cpu: dict[str, list[float]], arm: str, base: str
) -> dict[str, float]:
    """Medians over rounds, each against the same round's base, and their range."""
    by_wall = [a / b for a, b in zip(wall[arm], wall[base], strict=True)]
    by_cpu = [a / b for a, b in zip(cpu[arm], cpu[base], strict=True)]
    return {
        "wall": median(by_wall),
        "wall_min": min(by_wall),
        "wall_max": max(by_wall),
        "cpu": median(by_cpu),
        "cpu_min": min(by_cpu),
        "cpu_max": max(by_cpu),
    }


def _print_table(
    args: argparse.Namespace,
    wall: dict[str, list[float]],
    cpu: dict[str, list[float]],
    ratios: dict[str, dict[str, float]],
    flagged: dict[str, dict[str, float | int]],
) -> None:
    print(f"\n{args.model}, {args.batch} pairs a step, {args.rounds} round(s), median")
    print(f"{'arm':<22} {'s an epoch':>11} {'CPU s':>8}")
    for name in ARMS:
        print(f"{name:<22} {median(wall[name]):>11.2f} {median(cpu[name]):>8.2f}")
    print(f"\n{'ratio':<46} {'wall':>6} {'range':>14} {'CPU':>6} {'range':>14}")
    for name, figure in ratios.items():
        spans = [f"{figure[f'{k}_min']:.3f}-{figure[f'{k}_max']:.3f}" for k in ("wall", "cpu")]
        print(
            f"{RATIOS[name][2]:<46} {figure['wall']:>6.3f} {spans[0]:>14} {figure['cpu']:>6.3f}"
            f" {spans[1]:>14}"
        )
    print(f"\nright pairs called noisy after {args.train_epochs} epochs without noise")
    for name, figure in flagged.items():
        share = figure["estimated_noise_share"]
        print(f"{name:<22} {figure['rate']:.2%} of {figure['pairs']} (estimated share {share:.2%})")
    print()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.division_overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="vlsuite-mini-48", help="architecture to train")
    parser.add_argument("--data", help="shards of right pairs (default: emoji, built here)")
    parser.add_argument("--batch", type=int, default=128, help="global batch size (default 128)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each arm, in turn")
    parser.add_argument("--epochs", type=int, default=3, help="of a timed run; the first is not")
    parser.add_argument("--train-epochs", type=int, default=22, help="before flags are counted")
    parser.add_argument(
        "--warmup-epochs", type=float, default=2.0, help="before the first fit, of those"
    )
    parser.add_argument("--folder", help="where runs are written (default: temporary folder)")
    parser.add_argument("--seed", type=int, default=0, help="of data and training")
    parser.add_argument("--quick", action="store_true", help="tiny model on shapes, one round")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    args.made = "shapes" if args.quick and not args.data else "emoji"
    if args.quick:
        args.model, args.batch, args.rounds = "vlsuite-tiny-32", 32, 1
        args.epochs, args.train_epochs, args.warmup_epochs = 2, 3, 1.0
    return args


if __name__ == "__main__":
    run_as_program(main)
