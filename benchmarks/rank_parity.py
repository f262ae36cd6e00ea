"""Do two processes train exactly like one on the joined batch, under every ZeRO stage?

The real training loop runs in one process and in two (gloo on CPU), from the same seed on the
same shards, with the same global batch; the sequences of losses are compared.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.support import environment
from benchmarks.support.program import run_as_program
from benchmarks.support.real_runs import make_data
from benchmarks.support.report import finish

OBJECTIVES = ("clip", "siglip")
STAGES = (0, 1, 2, 3)


def main() -> None:
    args = _parse()
    if args.worker:
        _train_all(args)
        return
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder), num_samples=300, seed=args.seed)
        losses = {size: _launch(args, Path(folder), size) for size in (1, 2)}
    figures = _compare(losses[1], losses[2])
    print(
        f"{'objective':10} {'ZeRO':>4} {'max loss difference':>22} {'first loss':>11} {'last':>9}"
    )
    for name, figure in figures.items():
        first, last = losses[1][name][0], losses[1][name][-1]
        objective, stage = name.split("_zero")
        print(f"{objective:10} {stage:>4} {figure:22.2e} {first:11.5f} {last:9.5f}")
    finish(
        "rank_parity",
        {"max_loss_diff": figures, "worst": max(figures.values()), "processes": [1, 2]},
        environment.describe(),
        config={"steps": args.steps, "global_batch_size": args.batch, "seed": args.seed},
        save=args.save,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rank_parity", description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="optimizer steps (default 20)")
    parser.add_argument("--batch", type=int, default=32, help="global batch size (default 32)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="5 steps; ZeRO 0 and 3 only")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick:
        args.steps = 5
    return args


def _launch(args: argparse.Namespace, folder: Path, size: int) -> dict[str, list[float]]:
    out = folder / f"losses_{size}"
    out.mkdir()
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *(f"--nproc-per-node={size}", "-m", "benchmarks.rank_parity", f"--worker={out}"),
        *(f"--steps={args.steps}", f"--batch={args.batch}", f"--seed={args.seed}"),
        *(["--quick"] if args.quick else []),
    ]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        raise SystemExit(f"training with {size} process(es) failed, see above")
    return json.loads((out / "losses.json").read_text())


def _train_all(args: argparse.Namespace) -> None:
    """Inside a launched process: one run for each objective and stage, one after another."""
    from vlsuite.engine.distributed import start_distributed
    from vlsuite.engine.run_folder import RunFolder
    from vlsuite.engine.train_loop import train

    out = Path(args.worker)
    ctx = start_distributed(threads=1)
    found = {}
    for objective in OBJECTIVES:
        for stage in (0, 3) if args.quick else STAGES:
            name = f"{objective}_zero{stage}"
            config = _config(out.parent, objective, stage, args)
            folder = RunFolder(out / name)
            if ctx.is_first:
                folder.create(name, config)
            ctx.barrier()
            train(config, ctx, folder)
            if ctx.is_first:
                lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
                found[name] = [line["loss"] for line in lines]
    if ctx.is_first:
        (out / "losses.json").write_text(json.dumps(found))


def _config(folder: Path, objective: str, stage: int, args: argparse.Namespace):
    from data_pipelines.settings import apply_overrides
    from vlsuite.engine.config import TrainConfig

    return apply_overrides(
        TrainConfig(),
        [
            "model.name=vlsuite-tiny-32",
            "model.context_length=24",
            f"model.tokenizer={folder / 'tokenizer'}",
            f"data.train={folder / 'shards'}",
            "data.num_workers=0",
            f"objective={objective}",
            "optim.lr=1e-3",
            "optim.warmup_steps=2",
            f"duration={args.steps}steps",
            f"global_batch_size={args.batch}",
            f"deepspeed=zero{stage}",
            f"seed={args.seed}",
            "logging.every=1steps",
            "checkpoint.every=1000steps",
        ],
    )


def _compare(one: dict[str, list[float]], two: dict[str, list[float]]) -> dict[str, float]:
    return {
        name: max(abs(a - b) for a, b in zip(one[name], two[name], strict=True)) for name in one
    }


if __name__ == "__main__":
    run_as_program(main)
