"""Does evaluation need more memory for ten times as many images?

``vlsuite eval`` scores made-up pictures on a small untrained model, start to exit, once on N and
once on 10 N of them; what is compared is the peak resident memory of the process. Embeddings are
read through a memory map, so their pages count while they are touched: 4 bytes times the length
of an embedding for each image.
"""

import argparse
import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from webdataset.writer import TarWriter

from benchmarks.support.environment import describe
from benchmarks.support.models import export_untrained
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import run_timed, work_folder

_QUICK = {"images": 100}
_CLASSES = 20


class Run(NamedTuple):
    """One evaluation."""

    images: int
    peak_mib: float
    seconds: float


def main() -> int:
    """Run the measurement; returns the exit code."""
    return _measure(_parse())


def _measure(args: argparse.Namespace) -> int:
    environment = describe()
    with work_folder("eval_memory", parent=args.work) as work:
        model = export_untrained(work / "model", args.seed, architecture=args.architecture)
        print(f"{'images':>8}  {'peak MiB':>8}  {'seconds':>7}")
        runs = [
            _evaluate(args, model, work, count=args.images * factor, tasks=args.task)
            for factor in (1, 10)
        ]
    small, large = runs
    print(f"growth {large.peak_mib - small.peak_mib:+.0f} MiB")
    figures = {
        "rss_mb_1k": round(small.peak_mib, 1),
        "rss_mb_10k": round(large.peak_mib, 1),
        "growth_mb": round(large.peak_mib - small.peak_mib, 1),
        "images": [run.images for run in runs],
        "seconds": [round(run.seconds, 1) for run in runs],
    }
    config = {k: str(v) if isinstance(v, Path) else v for k, v in vars(args).items()}
    finish("eval_memory", figures, environment, config=config, save=args.save)
    return 0


def _evaluate(
    args: argparse.Namespace, model: Path, work: Path, *, count: int, tasks: list[str]
) -> Run:
    data = work / f"images-{count}"
    _write_folder(data, count, args.seed)
    chosen = [word for task in tasks for word in ("--task", task)]
    if "corruptions" in tasks:
        chosen += ["--set", "corruptions.severities=3", "--set", "corruptions.constants=cifar-c"]
        chosen += ["--set", "corruptions.kinds=contrast,brightness"]
    report = run_timed(
        [
            *(sys.executable, "-m", "vlsuite", "eval", model, "--data", data, *chosen),
            *("--out", work / f"results-{count}", "--cache", work / f"cache-{count}"),
            *("--examples", "0", "--batch-size", "64"),
        ],
        cwd=Path.cwd(),
        threads=args.threads,
        log=work / f"{count}.log",
    )
    run = Run(count, report.peak_bytes / 2**20, report.seconds)
    print(f"{run.images:>8,}  {run.peak_mib:8.0f}  {run.seconds:7.1f}", flush=True)
    return run


def _write_folder(folder: Path, count: int, seed: int) -> None:
    (folder / "test").mkdir(parents=True)
    with TarWriter(str(folder / "test" / "0.tar"), encoder=False) as writer:
        for number, picture in enumerate(_pictures(count, seed)):
            label = str(number % _CLASSES).encode()
            writer.write({"__key__": f"s{number:07d}", "jpg": picture, "cls": label})
    (folder / "test" / "nshards.txt").write_text("1\n")
    names = "\n".join(f"class {number}" for number in range(_CLASSES))
    (folder / "classnames.txt").write_text(names + "\n")


def _pictures(count: int, seed: int) -> Iterator[bytes]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        blocks = rng.integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(blocks).resize((64, 64)).save(stream, format="JPEG")
        yield stream.getvalue()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000, help="the smaller number")
    parser.add_argument(
        "--task", action="append", help="tasks (default: zero_shot, calibration, corruptions)"
    )
    parser.add_argument("--architecture", default="vlsuite-tiny-32")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, help="parent of the working folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help=f"under a minute: {_QUICK}")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    args.task = args.task or ["zero_shot", "calibration", "corruptions"]
    if args.quick:
        vars(args).update(_QUICK)
    return args


if __name__ == "__main__":
    run_as_program(main)
