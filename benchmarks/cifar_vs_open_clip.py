"""Does vlsuite train as good a model as open_clip_train from the same number of samples?

Both trainers train the same small CLIP on the CIFAR-10 training shards with the same settings,
which were tuned for neither (``--lr``, ``--weight-decay``). ``vlsuite eval`` then scores both
models zero-shot on the test shard, with 95% Wilson intervals over its images.
The peer's model is scored a second time by the peer's own code, which checks our evaluator.
"""

import argparse
import os
import tarfile
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, median_low
from typing import Any

from benchmarks.peers import open_clip as peer_open_clip
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.support import ours_vlsuite
from benchmarks.support.data_folder import VARIABLE, folder_with
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import work_folder
from benchmarks.support.trainer_settings import TrainerRun, TrainerSettings, find_shards

_TRAIN, _TEST = "cifar10-train-*.tar", "cifar10-test-000000.tar"
_CLASS_NAMES = "cifar10-classnames.txt"
#: The form of the training captions; the two models know no other words.
_TEMPLATES = ("a photo of a {c}",)
_QUICK = {"samples": 1024, "batch_size": 64, "repeats": 1, "test_samples": 500}


def main() -> int:
    """Run the comparison; returns the exit code."""
    return _compare(_parse())


def _compare(args: argparse.Namespace) -> int:
    args.data = folder_with(args.data, _TRAIN, _TEST, _CLASS_NAMES)
    settings = _settings(args)
    environment = describe()
    peer = peer_open_clip.prepare_environment(args.peer_env)
    print(f"{settings.num_samples} samples seen in {settings.num_steps} steps")
    print(f"{'seed':>4}  {'trainer':<16}  {'top-1':>6}  {'95% interval':>15}  {'seconds':>7}")
    runs: dict[str, list[dict[str, Any]]] = {"ours": [], "peer": []}
    with work_folder("cifar_vs_open_clip", parent=args.work) as work:
        test = _TestSet(args, work)
        for seed in range(args.seed, args.seed + args.repeats):
            seeded, folder = replace(settings, seed=seed), work / str(seed)
            trained = ours_vlsuite.train(seeded, folder / "ours")
            runs["ours"].append(test.score("vlsuite", trained, folder / "ours", seed=seed))
            trained = peer_open_clip.train(seeded, peer, folder / "peer")
            scored = test.score("open_clip_train", trained, folder / "peer", seed=seed)
            scored["top1_by_peer"] = test.score_by_peer(peer, trained, folder / "peer")
            runs["peer"].append(scored)
    config = asdict(settings) | {
        "shards": [path.name for path in settings.shards],
        "templates": _TEMPLATES,
        "test_samples": args.test_samples,
    }
    figures = _figures(runs) | {
        "samples_seen": settings.num_samples,
        "peer_versions": peer.versions(),
    }
    finish("cifar_vs_open_clip", figures, environment, config=config, save=args.save)
    return 0


class _TestSet:
    """The test shard, and the ways to score a model on it."""

    def __init__(self, args: argparse.Namespace, work: Path) -> None:
        (shard,) = find_shards(args.data, _TEST)
        self.shard = _first_samples(shard, work / "test.tar", args.test_samples)
        self.class_names = args.data / _CLASS_NAMES
        self.threads = args.threads

    def score(self, trainer: str, run: TrainerRun, folder: Path, *, seed: int) -> dict[str, Any]:
        """Score one trained model with ``vlsuite eval`` and print its row."""
        top1 = ours_vlsuite.zero_shot(
            run.model,
            folder / "zero_shot",
            shard=self.shard,
            class_names=self.class_names,
            templates=_TEMPLATES,
            threads=self.threads,
        )
        interval = f"{top1['low']:.4f}-{top1['high']:.4f}"
        print(
            f"{seed:>4}  {trainer:<16}  {top1['value']:>6.4f}  {interval:>15}  {run.seconds:>7.0f}",
            flush=True,
        )
        return {
            "seed": seed,
            "top1": round(top1["value"], 4),
            "ci": [round(top1["low"], 4), round(top1["high"], 4)],
            "train_seconds": round(run.seconds, 1),
        }

    def score_by_peer(self, peer: PeerEnvironment, run: TrainerRun, folder: Path) -> float:
        """Score one trained model with the peer's code."""
        top1 = peer_open_clip.zero_shot_top1(
            run.model,
            peer,
            shard=self.shard,
            class_names=self.class_names,
            templates=_TEMPLATES,
            threads=self.threads,
            log=folder / "zero_shot_by_peer.txt",
        )
        print(f"{'':>4}  {'  by its own code':<16} {top1:>6.4f}", flush=True)
        return round(top1, 4)


def _first_samples(shard: Path, target: Path, num_samples: int | None) -> Path:
    """The shard itself, or a copy of its first samples where a number is given."""
    if num_samples is None:
        return shard
    with tarfile.open(shard) as source, tarfile.open(target, "w") as copy:
        kept: set[str] = set()
        for member in source:
            kept.add(member.name.partition(".")[0])
            if len(kept) > num_samples:
                break
            copy.addfile(member, source.extractfile(member))
    return target


def _figures(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Top-1 and interval of each side's median run, with every run beside it."""
    figures: dict[str, Any] = {}
    for side, scored in runs.items():
        middle = median_low([run["top1"] for run in scored])
        chosen = next(run for run in scored if run["top1"] == middle)
        figures |= {f"{side}_top1": chosen["top1"], f"{side}_ci": chosen["ci"]}
        figures[f"{side}_top1_mean"] = round(mean(run["top1"] for run in scored), 4)
    return figures | {f"{side}_runs": scored for side, scored in runs.items()}


def _settings(args: argparse.Namespace) -> TrainerSettings:
    num_steps = -(-args.samples // args.batch_size)
    return TrainerSettings(
        shards=find_shards(args.data, _TRAIN),
        batch_size=args.batch_size,
        num_steps=num_steps,
        learning_rate=args.lr,
        warmup_steps=max(1, round(num_steps * args.warmup_share)),
        weight_decay=args.weight_decay,
        log_every=20,
        threads=args.threads,
        workers=args.workers,
        seed=args.seed,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", type=Path, help=f"folder with cifar10-*; else ${VARIABLE}")
    parser.add_argument("--samples", type=int, default=120_000, help="seen by each trainer")
    parser.add_argument("--test-samples", type=int, help="score only the first so many pictures")
    parser.add_argument("--batch-size", type=int, default=128, help="samples per step")
    parser.add_argument("--lr", type=float, default=2e-3, help="peak learning rate")
    parser.add_argument("--weight-decay", type=float, default=0.1)
    parser.add_argument("--warmup-share", type=float, default=0.2, help="of all steps")
    parser.add_argument("--repeats", type=int, default=1, help="trainings of each, seed by seed")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--workers", type=int, default=1, help="decoding processes of each trainer")
    parser.add_argument("--seed", type=int, default=0, help="of the first training")
    parser.add_argument(
        "--peer-env",
        type=Path,
        default=peer_open_clip.default_environment(),
        help="environment of open_clip_train; installed there on first use",
    )
    parser.add_argument("--work", type=Path, help="where the run folders live while it runs")
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a few steps, under a minute: shows that it runs, its figures mean little",
    )
    args = parser.parse_args()
    if args.quick:
        vars(args).update(_QUICK)
    return args


if __name__ == "__main__":
    run_as_program(main)
