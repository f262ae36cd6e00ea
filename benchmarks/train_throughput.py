"""How many samples per second does ``vlsuite train`` process, next to open_clip_train?

Both trainers run the same job (same shards, model, batch size, optimizer, schedule, augmentation,
precision, threads and decoding processes), one after the other, alternating. Each rate is the
samples between two progress lines over the seconds between them, with the same number of samples
on both sides and everything before discarded: imports, the first batches, thread warm-up.
"""

import argparse
import os
import statistics
from dataclasses import asdict
from pathlib import Path

from benchmarks.peers import open_clip as peer_open_clip
from benchmarks.support import ours_vlsuite
from benchmarks.support.data_folder import VARIABLE, folder_with
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import work_folder
from benchmarks.support.trainer_settings import (
    TrainerRun,
    TrainerSettings,
    find_shards,
    steady_rate,
)

_SHARDS = "cifar10-train-*.tar"
_QUICK = {"batch_size": 64, "discard_steps": 5, "steps": 10, "log_every": 5, "repeats": 1}


def main() -> int:
    """Run the comparison; returns the exit code."""
    return _compare(_parse())


def _compare(args: argparse.Namespace) -> int:
    settings = TrainerSettings(
        shards=find_shards(folder_with(args.data, _SHARDS), _SHARDS),
        batch_size=args.batch_size,
        # one more step than is needed: the peer logs steps 1, n + 1, 2 n + 1, ...
        num_steps=args.discard_steps + args.steps + 1,
        learning_rate=1e-3,
        warmup_steps=args.discard_steps,
        weight_decay=0.2,
        log_every=args.log_every,
        threads=args.threads,
        workers=args.workers,
        seed=args.seed,
    )
    environment = describe()
    peer = peer_open_clip.prepare_environment(args.peer_env)
    num_timed = args.steps * args.batch_size
    print(f"{num_timed} timed samples a run, batches of {args.batch_size}, {args.threads} threads")
    print(
        f"{'pair':>4}  {'ours/s':>8}  {'peer/s':>8}  {'ratio':>6}  {'ours GiB':>8}  {'peer GiB':>8}"
    )
    ours_runs: list[TrainerRun] = []
    peer_runs: list[TrainerRun] = []
    with work_folder("train_throughput", parent=args.work) as work:
        for pair in range(args.repeats):
            ours_runs.append(ours_vlsuite.train(settings, work / f"ours-{pair}"))
            peer_runs.append(peer_open_clip.train(settings, peer, work / f"peer-{pair}"))
            rates = [
                steady_rate(runs[-1].progress, num_samples=num_timed)
                for runs in (ours_runs, peer_runs)
            ]
            memory = [runs[-1].peak_bytes / 2**30 for runs in (ours_runs, peer_runs)]
            print(
                f"{pair + 1:>4}  {rates[0]:>8.1f}  {rates[1]:>8.1f}  {rates[0] / rates[1]:>6.2f}  "
                f"{memory[0]:>8.2f}  {memory[1]:>8.2f}",
                flush=True,
            )
    config = asdict(settings) | {"shards": [path.name for path in settings.shards]}
    figures = _figures(ours_runs, peer_runs, num_timed) | {"peer_versions": peer.versions()}
    finish("train_throughput", figures, environment, config=config, save=args.save)
    return 0


def _figures(
    ours_runs: list[TrainerRun], peer_runs: list[TrainerRun], num_timed: int
) -> dict[str, object]:
    ours = [steady_rate(run.progress, num_samples=num_timed) for run in ours_runs]
    peer = [steady_rate(run.progress, num_samples=num_timed) for run in peer_runs]
    ratios = [mine / theirs for mine, theirs in zip(ours, peer, strict=True)]
    return {
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
        "ours_samples_per_s": round(statistics.median(ours), 1),
        "peer_samples_per_s": round(statistics.median(peer), 1),
        "ours_samples_per_s_runs": [round(rate, 1) for rate in ours],
        "peer_samples_per_s_runs": [round(rate, 1) for rate in peer],
        "ours_peak_gib": round(max(run.peak_bytes for run in ours_runs) / 2**30, 2),
        "peer_peak_gib": round(max(run.peak_bytes for run in peer_runs) / 2**30, 2),
        "ours_process_seconds": [round(run.seconds, 1) for run in ours_runs],
        "peer_process_seconds": [round(run.seconds, 1) for run in peer_runs],
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", type=Path, help=f"folder with {_SHARDS}; else ${VARIABLE}")
    parser.add_argument("--batch-size", type=int, default=256, help="samples per step")
    parser.add_argument("--steps", type=int, default=60, help="timed steps of each run")
    parser.add_argument("--discard-steps", type=int, default=20, help="warm-up before them")
    parser.add_argument("--log-every", type=int, default=20, help="divides both step counts")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each trainer")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--workers", type=int, default=1, help="decoding processes of each trainer")
    parser.add_argument("--seed", type=int, default=0)
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
        help="one short pair, under a minute: shows that it runs, its figure means little",
    )
    args = parser.parse_args()
    if args.quick:
        vars(args).update(_QUICK)
    if args.steps % args.log_every or args.discard_steps % args.log_every:
        parser.error("--steps and --discard-steps must be multiples of --log-every")
    return args


if __name__ == "__main__":
    run_as_program(main)
