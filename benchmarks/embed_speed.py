"""How fast does ``vlsuite embed`` read and embed shards, next to plain open_clip and a DataLoader,
and to clip-retrieval's inference (in an environment of its own)?

All sides embed the pictures of the same shards with the same weights in fp32 and write fp16
vectors; time runs from the loaded model to the last written file, so imports count for none. Each
peer is given the best of several settings of its DataLoader. Two models: a very small one at 224
pixels, where reading is what takes time, as it does beside a GPU; and ViT-B-32, where on a CPU
computing is. Vectors of all sides are compared. ``cpu_ratio`` compares seconds of all processors,
which a machine that is busy with other work changes less. Then the same work is killed (SIGKILL) at
random moments, finished by another process, and its files are compared byte by byte with those of
uninterrupted work.
"""

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import open_clip
import torch

from benchmarks.peers import clip_retrieval
from benchmarks.peers import open_clip_embedding as peer
from benchmarks.peers.environment import PeerEnvironment
from benchmarks.support.data_folder import folder_with
from benchmarks.support.environment import describe
from benchmarks.support.models import export_untrained
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from data_pipelines.embeddings.folder import open_embeddings
from data_pipelines.errors import UserError
from vlsuite.api.embeddings import EmbedRequest, embed_data
from vlsuite.models.embedding import Embedding
from vlsuite.models.opening import open_model

_SMALL: dict[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {
        "image_size": 224, "patch_size": 32, "layers": 2, "width": 64, "head_width": 32
    },
    "text_cfg": {
        "context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1
    },
}  # fmt: skip
_SMALL_NAME = "benchmark-small-224"
_SHARD = "imagenet-samples-000000.tar"
_HOW = {
    "close": Embedding(),
    "exact": Embedding(pixels="exact"),
    "bf16": Embedding(precision="bf16"),
}


#: A peer's turn: embeds, with files of its own at a path.
Peer = Callable[[Path], peer.PeerEmbeddings]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``copies`` of the shard are embedded, ``large`` of them by ViT-B-32 (0: none).

    ``batch_size`` is the peer's.
    """

    copies: int
    large: int
    rounds: int
    kills: int
    batch_size: int
    workers: int
    seed: int


def main() -> int:
    """Measure and report; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help=f"folder with {_SHARD}")
    parser.add_argument("--copies", type=int, default=4, help="of the shard")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument(
        "--batch-size", type=int, default=64, help="of the peer; ours is the default"
    )
    parser.add_argument("--peer-env", type=Path, help="environment of clip-retrieval")
    parser.add_argument(
        "--no-clip-retrieval", action="store_true", help="beside plain open_clip alone"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one round, 2 kills, no ViT-B-32")
    parser.add_argument("--save", action="store_true", help="append the record to results/")
    args = parser.parse_args()
    settings = Settings(
        copies=2 if args.quick else args.copies,
        large=0 if args.quick else 1,
        rounds=1 if args.quick else args.rounds,
        kills=2 if args.quick else args.kills,
        batch_size=args.batch_size,
        workers=len(os.sched_getaffinity(0)),
        seed=args.seed,
    )
    shard = folder_with(args.data, _SHARD) / _SHARD
    other = None if args.no_clip_retrieval else clip_retrieval.prepare_environment(args.peer_env)
    environment = describe()
    with TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ["XDG_CACHE_HOME"] = str(work / "cache")
        shards = [work / f"shards/{number:05d}.tar" for number in range(settings.copies)]
        shards[0].parent.mkdir()
        for path in shards:
            shutil.copy(shard, path)
        figures = _small(work, shards, settings, other)
        if settings.large:
            figures |= _large(work, shards[: settings.large], settings)
        figures |= _killed(work, shards, settings)
    for name, value in figures.items():
        print(f"  {name:28} {value}")
    finish("embed_speed", figures, environment, config=asdict(settings), save=args.save)
    return 0


def _small(
    work: Path, shards: list[Path], settings: Settings, other: PeerEnvironment | None
) -> dict[str, Any]:
    """The small model: rates of all sides, in turns."""
    (work / "small.json").write_text(json.dumps(_SMALL))
    (work / "small.json").rename(work / f"{_SMALL_NAME}.json")
    open_clip.add_model_config(work / f"{_SMALL_NAME}.json")
    model = export_untrained(work / "small", settings.seed, architecture=_SMALL_NAME)
    loaders = [(n, t) for n in range(settings.workers + 1) for t in (1, settings.workers)]
    loaders = [(n, t) for n, t in dict.fromkeys(loaders) if n <= len(shards)]
    if settings.rounds == 1:
        loaders = [(min(settings.workers, len(shards)), 1)]
    tried = {
        one: _peer(model, shards, settings, loader=one, out=work / "tried").seconds
        for one in loaders
    }
    best = min(tried, key=lambda one: tried[one])
    turns: dict[str, Peer] = {
        "peer": lambda out: _peer(model, shards, settings, loader=best, out=out)
    }
    told: dict[str, Any] = {}
    if other is not None:
        turn, told = _clip_retrieval(other, work, model, shards, settings, loaders=loaders)
        turns["clip_retrieval"] = turn
    figures = _compared(work, model, shards, settings, peers=turns, cells=("close", "exact"))
    if other is not None:
        told |= {
            "ratio_vs_clip_retrieval": figures["ratio_close_clip_retrieval"],
            "ratio_vs_clip_retrieval_range": figures["range_close_clip_retrieval"],
            "cpu_ratio_clip_retrieval": figures["cpu_close_clip_retrieval"],
            "clip_retrieval_samples_per_s": figures["clip_retrieval"],
            "least_cosine_clip_retrieval": figures["cosine_exact_clip_retrieval"],
        }
    return {
        "ratio_vs_open_clip": figures["ratio_close_peer"],
        "ratio_vs_open_clip_range": figures["range_close_peer"],
        "ratio_exact_pixels": figures["ratio_exact_peer"],
        "cpu_ratio": figures["cpu_close_peer"],
        "cpu_ratio_exact_pixels": figures["cpu_exact_peer"],
        "samples_per_s": figures["ours_close"],
        "samples_per_s_exact": figures["ours_exact"],
        "peer_samples_per_s": figures["peer"],
        "peer_workers_threads": list(best),
        "least_cosine": figures["cosine_close_peer"],
        "least_cosine_exact": figures["cosine_exact_peer"],
        **told,
    }


def _clip_retrieval(
    environment: PeerEnvironment,
    work: Path,
    model: Path,
    shards: list[Path],
    settings: Settings,
    *,
    loaders: list[tuple[int, int]],
) -> tuple[Peer, dict[str, Any]]:
    """Its turn with the best of its loaders, and what that is."""

    def turn(loader: tuple[int, int], out: Path) -> peer.PeerEmbeddings:
        return clip_retrieval.embed(
            environment,
            model,
            shards,
            architecture=_SMALL_NAME,
            configuration=work / f"{_SMALL_NAME}.json",
            batch_size=settings.batch_size,
            workers=loader[0],
            threads=loader[1],
            out=out,
        )

    tried = {one: turn(one, work / "tried").seconds for one in loaders}
    best = min(tried, key=lambda one: tried[one])
    told = {
        "clip_retrieval_workers_threads": list(best),
        "clip_retrieval_versions": environment.versions(),
    }
    return lambda out: turn(best, out), told


def _large(work: Path, shards: list[Path], settings: Settings) -> dict[str, Any]:
    """ViT-B-32, in one round: computing takes nearly all of it."""
    model = export_untrained(work / "large", settings.seed, architecture="ViT-B-32")
    loader = (min(1, len(shards)), settings.workers)
    one = Settings(**(asdict(settings) | {"rounds": 1}))
    turns: dict[str, Peer] = {"peer": lambda out: _peer(model, shards, one, loader=loader, out=out)}
    figures = _compared(work, model, shards, one, peers=turns, cells=("close", "bf16"))
    return {
        "vit_b32_ratio": figures["ratio_close_peer"],
        "vit_b32_cpu_ratio": figures["cpu_close_peer"],
        "vit_b32_samples_per_s": figures["ours_close"],
        "vit_b32_peer_samples_per_s": figures["peer"],
        "vit_b32_least_cosine": figures["cosine_close_peer"],
        "vit_b32_bf16_samples_per_s": figures["ours_bf16"],
        "vit_b32_bf16_least_cosine": figures["cosine_bf16_peer"],
    }


def _compared(
    work: Path,
    model: Path,
    shards: list[Path],
    settings: Settings,
    *,
    peers: dict[str, Peer],
    cells: tuple[str, ...],
) -> dict[str, Any]:
    """Rates and least cosines, ours and the peers' by turns."""
    seconds: dict[str, list[float]] = {name: [] for name in (*peers, *cells)}
    of_cpu: dict[str, list[float]] = {name: [] for name in seconds}
    figures: dict[str, Any] = {}
    count = 0
    for number in range(settings.rounds):
        vectors: dict[str, dict[str, np.ndarray]] = {}
        for name, turn in peers.items():
            found = turn(work / name)
            seconds[name].append(found.seconds)
            of_cpu[name].append(found.cpu_seconds)
            vectors[name], count = found.vectors, found.count
        for cell in cells:
            out = work / f"ours-{cell}"
            shutil.rmtree(out, ignore_errors=True)
            clock, cpu = _ours(model, shards, out, settings, cell=cell)
            seconds[cell].append(clock)
            of_cpu[cell].append(cpu)
            if not number:
                for name, theirs in vectors.items():
                    figures[f"cosine_{cell}_{name}"] = round(_least_cosine(out, theirs), 7)
        print(f"round {number + 1}: {seconds}", file=sys.stderr, flush=True)
    figures |= {name: round(count / median(seconds[name]), 1) for name in peers}
    for cell in cells:
        figures[f"ours_{cell}"] = round(count / median(seconds[cell]), 1)
        for name in peers:
            ratios = [a / b for a, b in zip(seconds[name], seconds[cell], strict=True)]
            of_cpus = [a / b for a, b in zip(of_cpu[name], of_cpu[cell], strict=True)]
            figures |= {
                f"ratio_{cell}_{name}": round(median(ratios), 3),
                f"range_{cell}_{name}": [round(min(ratios), 3), round(max(ratios), 3)],
                f"cpu_{cell}_{name}": round(median(of_cpus), 3),
            }
    return figures


def _peer(
    model: Path, shards: list[Path], settings: Settings, *, loader: tuple[int, int], out: Path
) -> peer.PeerEmbeddings:
    workers, threads = loader
    size = settings.batch_size
    return peer.embed(model, shards, batch_size=size, workers=workers, threads=threads, out=out)


def _ours(
    model: Path, shards: list[Path], out: Path, settings: Settings, *, cell: str
) -> tuple[float, float]:
    """Seconds by the clock and of all processors, from the loaded model to the last file.

    In a process of its own and those that it makes.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = _start(model, shards, out, settings, cell=cell, sender=sender)
    sender.close()
    try:
        clock, cpu = receiver.recv()
    except EOFError:
        raise UserError(f"embedding to {out} failed, see above") from None
    process.join()
    return float(clock), float(cpu)


def _least_cosine(out: Path, theirs: dict[str, np.ndarray]) -> float:
    found = open_embeddings(out)
    vectors = found.array("images").astype(np.float32)
    names = found.rows()["path"].to_pylist()
    if set(names) != set(theirs):
        raise UserError(
            f"the peer embedded {len(theirs)} samples and we {len(names)}, not the same"
        )
    peers = np.stack([theirs[name] for name in names]).astype(np.float32)
    norms = np.linalg.norm(vectors, axis=1) * np.linalg.norm(peers, axis=1)
    return float(((vectors * peers).sum(axis=1) / norms).min())


def _killed(work: Path, shards: list[Path], settings: Settings) -> dict[str, Any]:
    """What kills change."""
    model = work / "small"
    start = time.perf_counter()
    _start(model, shards, work / "whole", settings, rows=200).join()
    seconds = time.perf_counter() - start
    whole = _files(work / "whole")
    rng = Random(settings.seed)
    kills = identical = 0
    while kills < settings.kills:
        out = work / "killed"
        shutil.rmtree(out, ignore_errors=True)
        process = _start(model, shards, out, settings, rows=200)
        process.join(rng.random() * seconds)
        if not process.is_alive():
            continue
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        kills += 1
        _start(model, shards, out, settings, rows=200).join()
        identical += _files(out) == whole
        print(f"kill {kills}: identical {identical}", file=sys.stderr, flush=True)
    return {"kills": kills, "identical_after_kill": identical, "files": len(whole)}


def _start(
    model: Path,
    shards: list[Path],
    out: Path,
    settings: Settings,
    *,
    cell: str = "close",
    rows: int | None = None,
    sender: Any = None,
) -> Any:
    # Forked: a kill then falls into the work, not into imports.
    process = multiprocessing.get_context("fork").Process(
        target=_work, args=(model, shards, out, settings, cell, rows, sender)
    )
    process.start()
    return process


def _work(
    model: Path,
    shards: list[Path],
    out: Path,
    settings: Settings,
    cell: str,
    rows: int | None,
    sender: Any,
) -> None:
    torch.set_num_threads(1)
    opened = open_model(f"local-dir:{model}")
    opened.fingerprint  # noqa: B018 - part of loading
    start, cpu_start = time.perf_counter(), _cpu_seconds()
    request = EmbedRequest(
        paths=tuple(map(str, shards)),
        out=out,
        how=_HOW[cell],
        rows=rows,
        workers=settings.workers,
    )
    embed_data(opened, request)
    if sender is not None:
        sender.send((time.perf_counter() - start, _cpu_seconds() - cpu_start))


def _cpu_seconds() -> float:
    """Of this process and of its own that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


if __name__ == "__main__":
    run_as_program(main)
