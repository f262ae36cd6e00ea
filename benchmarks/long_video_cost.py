"""What does STORM's encoder cost for long videos, and how many tokens are left of one?

One clip of 8 to 512 frames, random pixels, goes through image tower, temporal layers and reader
without gradients. Every point is a process of its own, whose peak is that of its resident memory,
PyTorch and the model included. The exponent is the slope of log seconds of CPU over log frames; the
best of some rounds counts.
"""

import argparse
import json
import math
import resource
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import run_timed, work_folder

FRAMES = (8, 16, 32, 64, 128, 256, 512)
#: Name, temporal_pool, spatial_pool, sample_every.
REDUCTIONS = (
    ("none", 1, 1, 1),
    ("sampling 2", 1, 1, 2),
    ("temporal 4", 4, 1, 1),
    ("spatial 2", 1, 2, 1),
    ("temporal 4, sampling 2", 4, 1, 2),
    ("temporal 4, spatial 2", 4, 2, 1),
    ("temporal 4, spatial 2, sampling 2", 4, 2, 2),
)


def point(architecture: str, frames: int, *, rounds: int, seed: int) -> dict[str, Any]:
    """Seconds and peak bytes of one clip, in this process."""
    import torch

    from vlsuite.models.dual_encoder.config import OpenClipConfig
    from vlsuite.models.storm.config import StormConfig
    from vlsuite.models.storm.model import Storm
    from vlsuite.models.storm.trainable import TrainableStorm

    torch.manual_seed(seed)
    built = StormConfig(image_text=OpenClipConfig(name=architecture)).build()
    assert isinstance(built, TrainableStorm)
    built.module.eval()
    model = built.evaluated("storm", scalars={"logit_scale": 1.0}, device=torch.device("cpu"))
    assert isinstance(model, Storm)
    height, width = built.preprocess["size"]
    clip = torch.randint(0, 256, (1, frames, 3, height, width), dtype=torch.uint8)
    before = _peak()
    model.embed_clips(clip[:, :1])
    wall, cpu = [], []
    for _ in range(rounds):
        started, own = time.perf_counter(), time.process_time()
        model.embed_clips(clip)
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - own)
    tokens = {
        name: model.reduced(temporal_pool=k, spatial_pool=s, sample_every=e).tokens_of(frames)
        for name, k, s, e in REDUCTIONS
    }
    return {
        "frames": frames, "seconds": min(wall), "cpu_seconds": min(cpu),
        "peak_mb": _peak() / 2**20, "peak_above_model_mb": (_peak() - before) / 2**20,
        "tokens": tokens,
    }  # fmt: skip


def _peak() -> int:
    """Highest resident memory of this process so far, bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def exponent(points: list[dict[str, Any]], key: str) -> float:
    """Slope of log of a figure over log frames, by least squares."""
    x = [math.log(one["frames"]) for one in points]
    y = [math.log(one[key]) for one in points]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    top = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return top / sum((a - mean_x) ** 2 for a in x)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.long_video_cost", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 64 frames of a tiny tower")
    parser.add_argument("--architecture", help="of open_clip or ours (default ViT-S-16, 224 px)")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    parser.add_argument("--point", type=int, help=argparse.SUPPRESS)
    return parser


def main() -> None:
    """Measure every length in a child, print a table, and end with one JSON object."""
    args = _parser().parse_args()
    architecture = args.architecture or ("vlsuite-micro-32" if args.quick else "ViT-S-16")
    if args.point:
        print(json.dumps(point(architecture, args.point, rounds=args.rounds, seed=args.seed)))
        return
    points = []
    with work_folder("long-video", parent=None) as work:
        for frames in FRAMES[:4] if args.quick else FRAMES:
            points.append(_in_child(args, architecture, frames, work))
            one = points[-1]
            print(
                f"{frames:>4} frames {one['seconds']:8.2f} s {one['cpu_seconds']:8.2f} s of CPU "
                f"{one['peak_mb']:7.0f} MB  tokens {list(one['tokens'].values())}", flush=True,
            )  # fmt: skip
    figures = {
        "points": points,
        "exponent": exponent(points, "cpu_seconds"),
        "exponent_wall": exponent(points, "seconds"),
        "peak_mb": max(one["peak_mb"] for one in points),
    }
    config = {
        "architecture": architecture, "rounds": args.rounds, "threads": args.threads,
        "seed": args.seed,
    }  # fmt: skip
    finish("long_video_cost", figures, describe(), config=config, save=args.save)


def _in_child(
    args: argparse.Namespace, architecture: str, frames: int, work: Path
) -> dict[str, Any]:
    words = [
        sys.executable, "-m", "benchmarks.long_video_cost", "--point", str(frames),
        "--architecture", architecture, "--rounds", str(args.rounds), "--seed", str(args.seed),
    ]  # fmt: skip
    report = run_timed(words, cwd=Path.cwd(), threads=args.threads, log=work / f"{frames}.log")
    return json.loads(report.lines[-1].text)


if __name__ == "__main__":
    run_as_program(main)
