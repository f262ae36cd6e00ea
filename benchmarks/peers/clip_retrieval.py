"""clip-retrieval's inference over shards, in an environment of its own."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.peers import environment as peer_environment
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.peers.open_clip_embedding import PeerEmbeddings
from benchmarks.support.timed_process import run_timed

VERSION = "2.45.0"


def prepare_environment(path: Path | None) -> PeerEnvironment:
    """The peer's environment; see ``peer_environment.prepare``.

    Its CLIP package wants ``pkg_resources``, which newer setuptools lack.
    """
    return peer_environment.prepare(
        path or peer_environment.folder_of(f"clip-retrieval-{VERSION}"),
        title=f"clip-retrieval {VERSION}",
        requirements=(f"clip-retrieval=={VERSION}", "setuptools<81"),
        reported=("clip-retrieval", "open-clip-torch", "webdataset", "torch"),
    )


def embed(
    environment: PeerEnvironment,
    model: Path,
    shards: Sequence[Path],
    *,
    architecture: str,
    configuration: Path | None,
    batch_size: int,
    workers: int,
    threads: int,
    out: Path,
) -> PeerEmbeddings:
    """Embed the pictures of shards; vectors are named SHARD/KEY.

    Args:
        model: folder that open_clip reads.
        architecture: of the model.
        configuration: of the architecture, where open_clip does not know it.
        workers: of its DataLoader.
        threads: of the process that computes.
        out: folder, made anew.
    Raises:
        BenchmarkError: it fails.
    """
    shutil.rmtree(out, ignore_errors=True)
    script = Path(__file__).parent / "inside" / "clip_retrieval_embed.py"
    command = [environment.python, script, *shards, "--out", out, "--architecture", architecture]
    command += ["--weights", model / "open_clip_model.safetensors"]
    command += ["--configuration", configuration] if configuration else []
    command += ["--batch-size", str(batch_size), "--workers", str(workers)]
    command += ["--threads", str(threads)]
    report = run_timed(command, cwd=out.parent, threads=threads, log=out.with_suffix(".log"))
    took = json.loads(report.lines[-1].text)
    vectors = np.load(out / "img_emb" / "img_emb_0.npy")
    keys = pq.read_table(out / "metadata" / "metadata_0.parquet")["image_path"].to_pylist()
    return PeerEmbeddings(
        _named(keys, vectors, shards), took["seconds"], took["cpu_seconds"], len(keys)
    )


def _named(
    keys: Sequence[str], vectors: np.ndarray, shards: Sequence[Path]
) -> dict[str, np.ndarray]:
    """It stores keys alone, in an order that depends on its workers; shards here are copies."""
    by_key = dict(zip(keys, vectors, strict=True))
    return {f"{shard.name}/{key}": vector for shard in shards for key, vector in by_key.items()}
