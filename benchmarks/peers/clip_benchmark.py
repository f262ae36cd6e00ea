"""CLIP_benchmark, the reference evaluation, in an environment of its own.

What each setting of :func:`evaluate` is for:

- ``--no_amp``: fp32 on both sides; its default, mixed precision, is slower on a CPU.
- ``--recall_k 1 5 10``: its default is 5 alone.
- ``--num_workers``: at most one a shard, which is what its reader can use.
- ``--batch_size``: its default of 64.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

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


class Probed(NamedTuple):
    """What its linear probe gave on features that are given.

    Attributes:
        accuracy: on the test part.
        weight_decay: that its search chose.
        cpu_s: of the search and the last fit.
    """

    accuracy: float
    weight_decay: float
    cpu_s: float


def probe(
    environment: PeerEnvironment,
    parts: Mapping[str, tuple[Tensor, Tensor]],
    *,
    folder: Path,
    threads: int,
    epochs: int,
    seed: int,
) -> Probed:
    """Its search for the weight decay and its fit, with its default rate and batch size.

    Args:
        parts: features and classes of "train", "val" and "test".
        folder: for its files.
        epochs: of each fit; its default is 10.
    Raises:
        BenchmarkError: it fails; names its log.
    """
    features = folder / "features"
    features.mkdir(parents=True)
    for name, (vectors, labels) in parts.items():
        torch.save(vectors, features / f"features_{name}.pt")
        torch.save(labels, features / f"targets_{name}.pt")
    program = Path(__file__).parent / "inside" / "linear_probe.py"
    report = run_timed(
        [
            environment.python,
            program,
            *("--features", features, "--epochs", str(epochs), "--seed", str(seed)),
        ],
        cwd=folder,
        threads=threads,
        log=folder / "probe.log",
    )
    found = json.loads(report.lines[-1].text)
    return Probed(found["lp_acc1"], found["weight_decay"], found["cpu_s"])
