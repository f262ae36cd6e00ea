"""CLIP_benchmark, the reference evaluation, in an environment of its own.

What each setting of :func:`evaluate` is for:

- ``--no_amp``: fp32 on both sides; its default, mixed precision, is slower on a CPU.
- ``--recall_k 1 5 10``: its default is 5 alone.
- ``--num_workers``: at most one a shard, which is what its reader can use.
- ``--batch_size``: its default of 64.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.peers import environment as peer_environment
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.support.timed_process import run_timed

VERSION = "1.6.2"

#: It imports requests without asking for it; its accuracy stops with numpy 2.4 ("only
#: 0-dimensional arrays can be converted to Python scalars").
_REQUIREMENTS = (f"clip-benchmark=={VERSION}", "requests==2.32.5", "numpy<2.4")
_SHARED = ("torch", "torchvision", "open_clip_torch", "webdataset")


class Scored(NamedTuple):
    """What one run printed, and what it took.

    Attributes:
        metrics: as the peer names them.
        seconds: wall clock from start to exit.
        peak_bytes: resident memory of its largest process at the highest point.
    """

    metrics: dict[str, Any]
    seconds: float
    peak_bytes: int


def prepare_environment(path: Path | None) -> PeerEnvironment:
    """CLIP_benchmark's environment; see ``peer_environment.prepare``."""
    return peer_environment.prepare(
        path or peer_environment.folder_of(f"clip-benchmark-{VERSION}"),
        title=f"clip-benchmark {VERSION}",
        requirements=_REQUIREMENTS,
        reported=("clip-benchmark", "open_clip_torch", "torch", "webdataset", "numpy"),
        shared=_SHARED,
    )


def evaluate(
    environment: PeerEnvironment,
    *,
    model: Path,
    data: Path,
    task: str,
    folder: Path,
    threads: int,
    workers: int,
) -> Scored:
    """Evaluate an exported model on one CLIP_benchmark folder.

    Args:
        model: folder with open_clip_config.json and weights.
        task: "zeroshot_classification" or "zeroshot_retrieval".
        folder: for its output.
        threads: of torch.
        workers: processes that decode; 0 decodes in the main process.
    Raises:
        BenchmarkError: it fails; names its log.
    """
    out = folder / f"{task}.json"
    report = run_timed(
        [
            environment.python,
            "-m",
            "clip_benchmark.cli",
            "eval",
            *("--dataset", f"wds/{data.name}", "--dataset_root", data),
            *("--task", task, "--model", f"local-dir:{model}", "--pretrained", ""),
            *("--no_amp", "--num_workers", str(workers), "--batch_size", "64"),
            *("--recall_k", "1", "5", "10", "--output", out),
        ],
        cwd=folder,
        threads=threads,
        log=folder / f"{task}.log",
    )
    return Scored(json.loads(out.read_text())["metrics"], report.seconds, report.peak_bytes)
