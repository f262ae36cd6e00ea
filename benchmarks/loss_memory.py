"""What memory does the tile-wise contrastive loss save, and what time does it cost?

The peer is open_clip's loss over the full matrix, called as its trainer calls it in one process;
each side runs forward and backward in a fresh process of its own. Gradients are compared at full
size, and both with the peer in float64 on fewer pairs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from benchmarks.support.environment import describe
from benchmarks.support.loss_side import PEERS, Measurement, SideConfig, loss_and_gradients
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish

_ROOT = Path(__file__).resolve().parent.parent
_FLOAT64_PAIRS = 2048
_SMALLER = 0.85
_MIB = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class LossMemoryConfig:
    """Resolved settings: ``rounds`` fresh processes a side, in turn, each timing ``runs`` runs."""

    objective: str
    batch: int
    dim: int
    seed: int
    device: str
    tile_size: int | None
    threads: int
    rounds: int
    runs: int


class OutOfMemoryError(Exception):
    """A side did not fit in the memory of this machine."""


class Comparison(NamedTuple):
    """All rounds of both sides at one batch size, and their gradients from the first round."""

    batch: int
    ours: list[Measurement]
    peer: list[Measurement]
    our_gradients: dict[str, Tensor]
    peer_gradients: dict[str, Tensor]

    @property
    def memory_ratio(self) -> float:
        """Largest peak of ours over smallest peak of the peer."""
        return max(m.peak_bytes for m in self.ours) / min(m.peak_bytes for m in self.peer)

    @property
    def time_ratios(self) -> list[float]:
        """Ours over peer, run by run in the order of measurement."""
        pairs = zip(_all_seconds(self.ours), _all_seconds(self.peer), strict=True)
        return [ours / peer for ours, peer in pairs]


def compare(config: LossMemoryConfig) -> Comparison:
    """Measure both sides at ``config.batch``, or fewer pairs where the peer does not fit."""
    batch = config.batch
    while True:
        try:
            return _compare_at(config, batch)
        except OutOfMemoryError as error:
            fewer = int(batch * _SMALLER) // 1024 * 1024
            print(f"{error}; trying {fewer} pairs", flush=True)
            if fewer < 1024:
                raise
            batch = fewer


def _compare_at(config: LossMemoryConfig, batch: int) -> Comparison:
    measured: dict[str, list[Measurement]] = {"peer": [], "ours": []}
    gradients: dict[str, dict[str, Tensor]] = {}
    side = SideConfig(
        side="ours",
        objective=config.objective,
        batch=batch,
        dim=config.dim,
        seed=config.seed,
        device=config.device,
        tile_size=config.tile_size,
        runs=config.runs,
    )
    with tempfile.TemporaryDirectory() as folder:
        for number in range(config.rounds):
            for name in measured:
                path = Path(folder) / f"{name}.safetensors" if number == 0 else None
                result = _measure_alone(replace(side, side=name), config.threads, path)
                measured[name].append(result)
                seconds = statistics.median(result.seconds)
                peak = result.peak_bytes / _MIB
                print(f"round {number + 1} {name}: {seconds:.2f} s, {peak:,.0f} MiB", flush=True)
                if path is not None:
                    gradients[name] = load_file(path)
    return Comparison(
        batch, measured["ours"], measured["peer"], gradients["ours"], gradients["peer"]
    )


def _measure_alone(config: SideConfig, threads: int, gradients: Path | None) -> Measurement:
    """Run one side in a fresh process.

    Raises:
        OutOfMemoryError: an allocation failed, or the process was killed.
        RuntimeError: it failed for another reason; holds the end of its messages.
    """
    command = [sys.executable, "-m", "benchmarks.support.loss_side", json.dumps(asdict(config))]
    command += ["--threads", str(threads)]
    if gradients is not None:
        command += ["--gradients", str(gradients)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    if done.returncode == 0:
        return Measurement(**json.loads(done.stdout.splitlines()[-1]))
    signs = ("can't allocate memory", "out of memory", "MemoryError", "bad_alloc")
    if done.returncode == -9 or any(sign in done.stderr for sign in signs):
        raise OutOfMemoryError(f"{config.side} at {config.batch} pairs does not fit in free memory")
    raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-2000:]}")


def relative_errors(actual: dict[str, Tensor], reference: dict[str, Tensor]) -> dict[str, float]:
    """Largest difference over the largest entry of the reference, for each gradient."""
    return {
        name: ((actual[name].double() - value.double()).abs().max() / value.abs().max()).item()
        for name, value in reference.items()
    }


def float64_errors(config: LossMemoryConfig) -> dict[str, dict[str, float]]:
    """Errors of both sides in fp32 against the peer's loss in float64, on fewer pairs."""
    side = SideConfig(
        side="peer",
        objective=config.objective,
        batch=min(config.batch, _FLOAT64_PAIRS),
        dim=config.dim,
        seed=config.seed,
        device=config.device,
        tile_size=config.tile_size,
    )
    exact = loss_and_gradients(replace(side, dtype="float64"))()
    del exact["loss"]
    sides = {"ours": replace(side, side="ours"), "peer": side}
    return {n: relative_errors(loss_and_gradients(s)(), exact) for n, s in sides.items()}


def _all_seconds(measurements: list[Measurement]) -> list[float]:
    return [seconds for measurement in measurements for seconds in measurement.seconds]


def print_table(comparison: Comparison, against_float64: dict[str, dict[str, float]]) -> None:
    """Memory and time of both sides, then gradient errors."""
    print(f"\n{'side':<6}{'peak above start':>18}{'median time':>14}{'min':>9}{'max':>9}   loss")
    for name, side in (("peer", comparison.peer), ("ours", comparison.ours)):
        seconds = _all_seconds(side)
        peak = max(m.peak_bytes for m in side) / _MIB
        median = statistics.median(seconds)
        print(
            f"{name:<6}{peak:>14,.0f} MiB{median:>12.2f} s{min(seconds):>7.2f} s"
            f"{max(seconds):>7.2f} s   {side[0].loss:.6f}"
        )
    header = "".join(f"{name:>14}" for name in ("ours - peer", "ours - fp64", "peer - fp64"))
    print(f"\n{'largest relative gradient error':<33}{header}")
    pairwise = relative_errors(comparison.our_gradients, comparison.peer_gradients)
    for name, error in pairwise.items():
        ours, peer = against_float64["ours"][name], against_float64["peer"][name]
        print(f"  {name:<31}{error:>14.1e}{ours:>14.1e}{peer:>14.1e}")
    print(f"  (ours - peer on {comparison.batch} pairs, fp64 on {_FLOAT64_PAIRS})\n")


def parse_arguments() -> tuple[LossMemoryConfig, bool]:
    """The settings, and whether to save the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.loss_memory", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="4,096 pairs, one round of 3 runs")
    parser.add_argument("--batch", type=int, default=32768, help="pairs (default 32768)")
    parser.add_argument("--dim", type=int, default=512, help="embedding width (default 512)")
    parser.add_argument("--objective", choices=sorted(PEERS), default="clip")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes a side")
    parser.add_argument("--tile-size", type=int, help="default: what suits the device")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: cuda if there is one")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    args = parser.parse_args()
    config = LossMemoryConfig(
        objective=args.objective,
        batch=4096 if args.quick else args.batch,
        dim=args.dim,
        seed=args.seed,
        device=args.device or ("cuda" if torch.cuda.is_available() else "cpu"),
        tile_size=args.tile_size,
        threads=args.threads,
        rounds=1 if args.quick else args.rounds,
        runs=3 if args.quick else 1,
    )
    return config, args.save


def main() -> None:
    """Run the comparison, print the table and the last line."""
    config, save = parse_arguments()
    torch.set_num_threads(config.threads)
    comparison = compare(config)
    against_float64 = float64_errors(config)
    print_table(comparison, against_float64)
    pairwise = relative_errors(comparison.our_gradients, comparison.peer_gradients)
    ratios = comparison.time_ratios
    figures = {
        "memory_ratio": round(comparison.memory_ratio, 5),
        "time_ratio": round(statistics.median(ratios), 4),
        "time_ratio_min": round(min(ratios), 4),
        "time_ratio_max": round(max(ratios), 4),
        "grad_max_rel_err": max(pairwise.values()),
        "grad_max_rel_err_float64": {n: max(e.values()) for n, e in against_float64.items()},
        "batch": comparison.batch,
        "ours_peak_bytes": max(m.peak_bytes for m in comparison.ours),
        "peer_peak_bytes": max(m.peak_bytes for m in comparison.peer),
        "ours_seconds": _all_seconds(comparison.ours),
        "peer_seconds": _all_seconds(comparison.peer),
    }
    finish("loss_memory", figures, describe(), config=asdict(config), save=save)


if __name__ == "__main__":
    run_as_program(main)
