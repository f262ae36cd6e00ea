"""How long does training stand still for its checkpoints?

The real training loop runs with a checkpoint every few steps and without any, alternating, in one
process on this machine. Reported are the share of the time of steps for which the loop waited for
its checkpoints (copying the state, and the former one where it was still being written), and the
whole cost, which also holds what the writing thread takes from training on a small machine: the
difference of the two runs' wall clock.
"""

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.support import environment
from benchmarks.support.program import run_as_program
from benchmarks.support.real_runs import RunSettings, StartedRun, make_data
from benchmarks.support.report import finish

_TIMEOUT = 900.0
_WARM_UP_STEPS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One run: seconds of its steps after warm-up, the loop's waiting share, checkpoint bytes."""

    seconds: float
    share: float
    checkpoint_bytes: int


def main() -> None:
    args = _parse()
    folder = Path(tempfile.mkdtemp(prefix="checkpoint-overhead-", dir=args.folder))
    make_data(folder, num_samples=300, seed=args.seed)
    saving, plain = [], []
    for repeat in range(args.repeats):
        for every, results in ((args.every, saving), (None, plain)):
            name = f"{'saving' if every else 'plain'}-{repeat}"
            results.append(_run(folder, name, args, every=every))
            print(f"{name}: {results[-1]}", file=sys.stderr, flush=True)
    shutil.rmtree(folder)
    shares = [run.share for run in saving]
    costs = [a.seconds / b.seconds - 1 for a, b in zip(saving, plain, strict=True)]
    size = saving[0].checkpoint_bytes / 2**20
    step = median(run.seconds for run in plain) / (args.steps - _WARM_UP_STEPS)
    print(f"model {args.model}, ZeRO {args.stage}, {args.processes} process(es)")
    print(f"step                        {step * 1000:9.0f} ms")
    print(f"checkpoint                  {size:9.1f} MiB, every {args.every} steps")
    print(
        f"loop waits, share of time   {median(shares):9.2%} "
        f"({min(shares):.2%} to {max(shares):.2%})"
    )
    print(
        f"whole cost in wall clock    {median(costs):9.2%} ({min(costs):.2%} to {max(costs):.2%})"
    )
    finish(
        "checkpoint_overhead",
        {
            "share_of_step_time": median(shares),
            "shares": shares,
            "wall_clock_cost": median(costs),
            "wall_clock_costs": costs,
            "checkpoint_mib": size,
            "step_ms": step * 1000,
        },
        environment.describe(),
        config={
            "model": args.model,
            "steps": args.steps,
            "every": args.every,
            "stage": args.stage,
            "processes": args.processes,
            "global_batch_size": args.batch,
            "repeats": args.repeats,
            "seed": args.seed,
        },
        save=args.save,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.checkpoint_overhead",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="vlsuite-mini-48", help="architecture to train")
    parser.add_argument("--steps", type=int, default=65, help="of each run (default 65)")
    parser.add_argument("--every", type=int, default=20, help="steps between checkpoints")
    parser.add_argument("--batch", type=int, default=128, help="global batch size (default 128)")
    parser.add_argument("--stage", type=int, default=1, help="of ZeRO (default 1)")
    parser.add_argument("--processes", type=int, default=1, help="ranks (default 1)")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of runs (default 3)")
    parser.add_argument("--folder", help="where runs are written (default: temporary folder)")
    parser.add_argument("--seed", type=int, default=0, help="of data and training")
    parser.add_argument("--quick", action="store_true", help="tiny model, 25 steps, one pair")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        args.model, args.steps, args.every, args.repeats = "vlsuite-tiny-32", 25, 10, 1
    return args


def _run(folder: Path, name: str, args: argparse.Namespace, *, every: int | None) -> Measured:
    # The last step is always saved, after the loop; only those before it are the loop's matter.
    settings = RunSettings(
        data=folder,
        out=folder / name,
        stage=args.stage,
        processes=args.processes,
        steps=args.steps,
        overrides=(
            f"model.name={args.model}",
            f"global_batch_size={args.batch}",
            f"checkpoint.every={every or 10**6}steps",
            f"seed={args.seed}",
            "logging.uids=false",
            "stall_timeout=600",
        ),
    )
    run = StartedRun(settings, folder / f"{name}.log")
    codes = run.wait(timeout=_TIMEOUT)
    if set(codes) != {0}:
        raise SystemExit(f"training ended with {codes}:\n{run.output()[-3000:]}")
    lines = [json.loads(line) for line in (settings.out / "metrics.jsonl").read_text().splitlines()]
    times = {line["step"]: line["time"] for line in lines}
    waits = {line["step"]: line["checkpoint_seconds"] for line in lines}
    seconds = times[args.steps] - times[_WARM_UP_STEPS]
    waited = sum(s for step, s in waits.items() if _WARM_UP_STEPS < step <= args.steps)
    checkpoints = sorted((settings.out / "checkpoints").glob("step_*"))
    size = sum(file.stat().st_size for file in checkpoints[-1].iterdir())
    shutil.rmtree(settings.out)
    return Measured(seconds=seconds, share=waited / seconds, checkpoint_bytes=size)


if __name__ == "__main__":
    run_as_program(main)
