"""Plain open_clip and a DataLoader, the usual way to embeddings of shards."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.support.timed_process import run_timed


class PeerEmbeddings(NamedTuple):
    """Vectors by SHARD/KEY, and seconds from the loaded model to the written array.

    Attributes:
        seconds: by the clock.
        cpu_seconds: of all its processes.
        count: of the vectors.
    """

    vectors: dict[str, np.ndarray]
    seconds: float
    cpu_seconds: float
    count: int


def embed(
    model: Path,
    shards: Sequence[Path],
    *,
    batch_size: int,
    workers: int,
    threads: int,
    out: Path,
) -> PeerEmbeddings:
    """Embed the pictures of shards, in a process of its own with this environment's packages.

    Args:
        model: folder that open_clip reads.
        workers: of the DataLoader; it refuses more than there are shards.
        threads: of the process that computes.
        out: prefix of the files it writes.
    Raises:
        BenchmarkError: it fails.
    """
    script = Path(__file__).parent / "inside" / "open_clip_embed.py"
    command = [sys.executable, script, model, *shards, "--out", out]
    command += ["--batch-size", str(batch_size), "--workers", str(workers)]
    command += ["--threads", str(threads)]
    report = run_timed(command, cwd=out.parent, threads=threads, log=out.with_suffix(".log"))
    took = json.loads(report.lines[-1].text)
    keys = json.loads(out.with_suffix(".json").read_text())
    vectors = np.load(out.with_suffix(".npy"))
    names = [f"{Path(key).parent.name}/{Path(key).name}" for key in keys]
    by_name = dict(zip(names, vectors, strict=True))
    return PeerEmbeddings(by_name, took["seconds"], took["cpu_seconds"], len(vectors))
