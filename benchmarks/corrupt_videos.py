"""Does any damaged video hang or crash what reads it, or leave memory behind?

Valid files of many containers are damaged in fifteen ways, and each goes through the guarded
process as in training. A case passes if frames come, or one error of the data family. It counts as
a hang if no answer comes within twice the time limit, and as a crash if anything else is raised or
the process that asked dies. How often the decoding process itself was killed or died, which costs
one video each, is counted besides, and so is the memory that both have gained since they were warm.
"""

import argparse
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from benchmarks.support.timed_process import BenchmarkError
from benchmarks.support.video_damage import KINDS
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.video.process import ProcessLimits, VideoProcess

_WARM = 100  # files after which memory is looked at for the first time
_NUM_FRAMES = 4
_REPLACED = ("video hung the decoder", "video crashed the decoder")


class Given(NamedTuple):
    """A valid file."""

    name: str
    data: bytes


def main() -> int:
    """Run the cases; returns the exit code."""
    args = _parse()
    given = _files(args.videos)
    environment = describe()
    outcomes: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    warm, warm_decoder, grown_decoder = 0.0, 0.0, 0.0
    slowest = 0.0
    with VideoProcess(ProcessLimits(seconds=args.seconds)) as process:
        process.check()
        for number in range(args.files):
            kind, name, data = case(number, given, seed=args.seed)
            started = time.monotonic()
            outcome = _outcome(process, data)
            spent = time.monotonic() - started
            slowest = max(slowest, spent)
            outcomes[outcome] += 1
            if spent > 2 * args.seconds:
                failures["hang"] += 1
                print(f"hang: case {number}, {kind} of {name}, {spent:.1f} s", flush=True)
            if outcome.startswith("raised"):
                failures["crash"] += 1
                print(f"crash: case {number}, {kind} of {name}: {outcome}", flush=True)
            if number + 1 == min(_WARM, args.files):
                warm, warm_decoder = _resident_mb(), _resident_mb(process.pid)
            if number % 200 == 199:
                print(f"{number + 1} files, slowest {slowest:.1f} s", file=sys.stderr, flush=True)
        grown_decoder = _resident_mb(process.pid) - warm_decoder
    for outcome, count in outcomes.most_common():
        print(f"{count:8}  {outcome}")
    finish(
        "corrupt_videos",
        {
            "files": args.files,
            "hangs": failures["hang"],
            "crashes": failures["crash"],
            "rss_growth_mb": round(_resident_mb() - warm, 1),
            "decoder_rss_growth_mb": round(grown_decoder, 1),
            "decoder_replaced": sum(outcomes[name] for name in _REPLACED),
            "delivered": outcomes["delivered"],
            "kinds": len(KINDS),
            "containers": len(given),
            "slowest_s": round(slowest, 1),
            "outcomes": dict(outcomes.most_common()),
        },
        environment,
        config={"files": args.files, "seed": args.seed, "seconds": args.seconds},
        save=args.save,
    )
    return 1 if failures else 0


def case(number: int, given: list[Given], *, seed: int) -> tuple[str, str, bytes]:
    """Kind of damage, name of the file and the damaged bytes: the same for the same seed."""
    kinds = list(KINDS)
    kind = kinds[number % len(kinds)]
    file = given[number // len(kinds) % len(given)]
    return kind, file.name, KINDS[kind](file.data, np.random.default_rng([seed, number]))


def _outcome(process: VideoProcess, data: bytes) -> str:
    try:
        frames = process.sample(data, _NUM_FRAMES).frames
    except BadSampleError as error:
        return error.kind
    except DataError as error:
        return f"refused: {error}"
    except Exception as error:
        return f"raised {type(error).__name__}: {' '.join(str(error).split())[:150]}"
    return "delivered" if len(frames) == _NUM_FRAMES else f"raised {len(frames)} frames"


def _resident_mb(pid: int | None = None) -> float:
    """Of a process, now; None is this one."""
    try:
        pages = int(Path(f"/proc/{pid or 'self'}/statm").read_text().split()[1])
    except OSError:  # it has just been replaced
        return 0.0
    return pages * resource.getpagesize() / 2**20


def _files(folder: Path | None) -> list[Given]:
    """Videos of a folder, or of the package ``iscc-samples``: one film in many containers."""
    if folder is None:
        try:
            import iscc_samples  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise BenchmarkError(
                "needs videos: name a folder with --videos, or install iscc-samples"
            ) from error
        folder = Path(str(iscc_samples.__file__)).parent / "files" / "video"
    given = [Given(path.name, path.read_bytes()) for path in sorted(folder.glob("*.*"))]
    if not given:
        raise BenchmarkError(f"no files in {folder}; name another folder with --videos")
    return given


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.corrupt_videos", description=__doc__
    )
    parser.add_argument("--files", type=int, default=2000, help="damaged files (default 2,000)")
    parser.add_argument("--videos", type=Path, help="folder of valid videos (else iscc-samples)")
    parser.add_argument("--seconds", type=float, default=10.0, help="time limit of one video")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="60 files")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    args = parser.parse_args()
    if args.quick:
        args.files = 60
    return args


if __name__ == "__main__":
    run_as_program(main)
