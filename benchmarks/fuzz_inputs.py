"""Does any broken picture, text, tar or video get past the readers' guard?

Small valid files are damaged at random (bits, stretches, lengths, heads, splices), and each goes
through the same functions as in training, in a process of its own that is watched. A case passes
if it is delivered, or refused with an error of the data family. It fails if the process dies
(crash), takes longer than 5 seconds (hang), raises anything else, or if a sample is neither
delivered nor counted (unaccounted). Failing cases are saved.
"""

import argparse
import json
import os
import resource
import select
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks.support import environment
from benchmarks.support.broken_files import TAR_SAMPLES, Kind, Seed, mutated, seeds, with_checksums
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish

_HANG = 5.0  # seconds for one case
_START = 60.0  # seconds for the first answer: imports
_DECODER_SECONDS = 3.0
_SHARES: dict[Kind, int] = {"image": 13, "tar": 4, "text": 3}
_CYCLE: list[Kind] = [kind for kind, share in _SHARES.items() for _ in range(share)]
_VIDEO_EVERY = 32  # cases; they are slow


def main() -> None:
    args = _parse()
    if args.worker is not None:
        _serve(args)
        return
    outcomes: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    start, peak, first_rss = time.monotonic(), 0, None
    watch = _Watched(args)
    for number in range(args.cases):
        outcome, rss = watch.run(number)
        peak, first_rss = max(peak, rss), first_rss or rss
        outcomes[f"{kind_of(number)}: {outcome}"] += 1
        name = outcome.split(" ")[0]
        if name in ("crash", "hang", "unaccounted", "error"):
            failures[name] += 1
            _keep(args, number, outcome)
        if number % 1000 == 999:
            print(f"{number + 1} cases, {sum(failures.values())} failures", file=sys.stderr)
    watch.end()
    for outcome, count in sorted(outcomes.items()):
        print(f"{count:8}  {outcome}")
    finish(
        "fuzz_inputs",
        {
            "cases": args.cases,
            "crashes": failures["crash"] + failures["error"],
            "hangs": failures["hang"],
            "unaccounted": failures["unaccounted"],
            "peak_rss_mb": round(peak / 1024),
            "first_case_rss_mb": round((first_rss or 0) / 1024),
            "seconds": round(time.monotonic() - start, 1),
            "outcomes": dict(sorted(outcomes.items())),
        },
        environment.describe(),
        config={"cases": args.cases, "seed": args.seed, "videos": bool(args.videos)},
        save=args.save,
    )
    if failures:
        raise SystemExit(f"failing cases are in {args.out}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz_inputs", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="broken files (default 10,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--videos", type=Path, help="folder of real videos to damage as well")
    parser.add_argument(
        "--out", type=Path, default=Path(tempfile.gettempdir()) / "fuzz_inputs", help="for failures"
    )
    parser.add_argument("--quick", action="store_true", help="1,000 cases")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick:
        args.cases = 1000
    return args


def kind_of(number: int) -> Kind:
    """What case ``number`` is."""
    return "video" if number % _VIDEO_EVERY == 7 else _CYCLE[number % len(_CYCLE)]


def case(number: int, *, seed: int, files: dict[str, list[Seed]]) -> bytes:
    """The broken file of a number: the same for the same seed and files."""
    rng = np.random.default_rng([seed, number])
    kind = kind_of(number)
    pool = files[kind]
    data = mutated(pool[int(rng.integers(len(pool)))].data, pool, rng)
    return with_checksums(data) if kind == "tar" and rng.random() < 0.5 else data


def _all_seeds(videos: Path | None) -> dict[str, list[Seed]]:
    files = {kind: seeds(kind) for kind in ("image", "text", "tar", "video")}
    if videos:
        files["video"] += [Seed(path.name, path.read_bytes()) for path in sorted(videos.iterdir())]
    return files


class _Watched:
    """The process that reads the cases; replaced when it dies or takes too long."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args
        self._process: subprocess.Popen[str] | None = None

    def run(self, number: int) -> tuple[str, int]:
        """Outcome of a case, and the peak memory so far in KiB."""
        limit = _HANG
        if self._process is None:
            self._process, limit = self._start(number), _START
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], limit)
        line = self._process.stdout.readline() if ready else ""
        if line:
            answer = json.loads(line)
            assert answer["number"] == number
            return answer["outcome"], answer["rss"]
        outcome = "hang over 5 s"
        if ready:
            outcome = f"crash with status {self._process.wait()}"
        self.end()
        return outcome, 0

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _start(self, number: int) -> subprocess.Popen[str]:
        args = self._args
        command = [sys.executable, "-m", "benchmarks.fuzz_inputs", f"--worker={number}"]
        command += [f"--cases={args.cases}", f"--seed={args.seed}"]
        command += [f"--videos={args.videos}"] if args.videos else []
        # One line a case and a pipe without a buffer here: select() sees every answer.
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def _keep(args: argparse.Namespace, number: int, outcome: str) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    data = case(number, seed=args.seed, files=_all_seeds(args.videos))
    name = f"seed{args.seed}-case{number}-{kind_of(number)}"
    (args.out / name).write_bytes(data)
    print(f"case {number} ({kind_of(number)}): {outcome}; saved as {args.out / name}")


def _serve(args: argparse.Namespace) -> None:
    """Inside the watched process: read case after case and answer each with a line."""
    import torch

    from benchmarks.support.fuzz_readers import Readers

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # of Pillow, about each broken file
    files = _all_seeds(args.videos)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with the answers
    with tempfile.TemporaryDirectory() as folder:
        readers = Readers(Path(folder), seconds=_DECODER_SECONDS, num_tar_samples=TAR_SAMPLES)
        for number in range(args.worker, args.cases):
            data = case(number, seed=args.seed, files=files)
            outcome = readers.outcome(kind_of(number), data, np.random.default_rng(number))
            usage = [resource.getrusage(who).ru_maxrss for who in (0, resource.RUSAGE_CHILDREN)]
            answers.write(
                json.dumps({"number": number, "outcome": outcome, "rss": max(usage)}) + "\n"
            )
        readers.close()


if __name__ == "__main__":
    run_as_program(main)
