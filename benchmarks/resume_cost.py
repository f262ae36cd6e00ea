"""How long until the first batch when a run on ten million samples resumes, and in what memory?

A fresh process opens the shards, goes to a position deep in the third epoch and waits for its
first batch. The shards are hard links of one real tar (and of its sidecar), which no part of the
reading can tell from different files. Opening is timed twice: as after the shards were copied
to a new machine (sidecars there, nothing in the cache folder), and as on every later start. The
page cache is warm for the linked tar. For scale, webdataset's way of getting to the same place,
reading everything before it, is extrapolated from its speed on that tar.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.support import environment
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish

PER_SHARD = 10_000
_EPOCH = 2  # counted from 0


def main() -> None:
    args = _parse()
    if args.resume_in:
        print(json.dumps(_resume(args)))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        _make_set(folder, args.samples // PER_SHARD, seed=args.seed)
        num_samples = args.samples // PER_SHARD * PER_SHARD
        position = _position(num_samples, args)
        runs = [_launch(args, folder, position, label) for label in ("cold", "warm", "warm")]
        peer = _webdataset_rate(folder / "one.tar")
    cold, warm = runs[0], min(runs[1:], key=lambda run: run["first_batch_s"])
    _show(cold, warm, position, peer)
    finish(
        "resume_cost",
        {
            "first_batch_s": warm["first_batch_s"],
            "first_batch_cold_s": cold["first_batch_s"],
            "peak_rss_mb": max(run["peak_rss_mb"] for run in runs),
            "worker_peak_rss_mb": max(run["worker_peak_rss_mb"] for run in runs),
            "import_s": warm["import_s"],
            "import_rss_mb": warm["import_rss_mb"],
            "open_s": warm["open_s"],
            "open_cold_s": cold["open_s"],
            "webdataset_skip_s_extrapolated": round(position / peer, 1),
            "webdataset_samples_per_s": round(peer),
        },
        environment.describe(),
        config={
            "samples": num_samples,
            "shards": num_samples // PER_SHARD,
            "position": position,
            "batch": args.batch,
            "workers": args.workers,
            "seed": args.seed,
        },
        save=args.save,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.resume_cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=10_000_000,
        help=f"size of the set (default 10 million), in shards of {PER_SHARD:,}",
    )
    parser.add_argument("--batch", type=int, default=256, help="global batch size (default 256)")
    parser.add_argument("--workers", type=int, default=2, help="decoding processes (default 2)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="where to make the set; default the temporary folder")
    parser.add_argument("--quick", action="store_true", help="a million samples, under a minute")
    parser.add_argument("--save", action="store_true", help="also write benchmarks/results/")
    parser.add_argument("--resume-in", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--position", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick:
        args.samples = 1_000_000
    if args.samples < PER_SHARD:
        parser.error(f"--samples must be at least {PER_SHARD}")
    return args


def _make_set(folder: Path, num_shards: int, *, seed: int) -> None:
    """One tar of small pictures with captions, linked many times, and its sidecar."""
    from data_pipelines.shards.index import store_beside
    from data_pipelines.shards.sidecar import SUFFIX
    from vlsuite.batches.tokenizer import train_tokenizer

    _say(f"making {num_shards:,} shards of {PER_SHARD:,} samples")
    captions = _write_tar(folder / "one.tar", seed=seed)
    train_tokenizer(captions, vocab_size=200, out_dir=folder / "tokenizer", context_length=24)
    store_beside(folder / "one.tar")
    (folder / "shards").mkdir()
    for number in range(num_shards):
        name = f"{number:06d}.tar"
        os.link(folder / "one.tar", folder / "shards" / name)
        os.link(folder / f"one.tar{SUFFIX}", folder / "shards" / f"{name}{SUFFIX}")


def _write_tar(path: Path, *, seed: int) -> list[str]:
    """Returns some captions."""
    import io

    import numpy as np
    from PIL import Image
    from webdataset.writer import TarWriter

    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(100):
        stream = io.BytesIO()
        pixels = rng.integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((32, 32)).save(stream, format="JPEG")
        pictures.append(stream.getvalue())
    captions = [f"picture {number} of many" for number in range(PER_SHARD)]
    with TarWriter(str(path)) as writer:
        for number, caption in enumerate(captions):
            picture = pictures[number % len(pictures)]
            writer.write({"__key__": f"{number:06d}", "jpg": picture, "txt": caption})
    return captions[:500]


def _position(num_samples: int, args: argparse.Namespace) -> int:
    offset = random.Random(args.seed).randrange(num_samples // 2, num_samples)
    return (_EPOCH * num_samples + offset) // args.batch * args.batch


def _launch(args: argparse.Namespace, folder: Path, position: int, label: str) -> dict[str, Any]:
    _say(f"resuming at sample {position:,}, set summary {label}")
    command = [
        *(sys.executable, "-m", "benchmarks.resume_cost", f"--resume-in={folder}"),
        *(f"--position={position}", f"--batch={args.batch}", f"--workers={args.workers}"),
        f"--seed={args.seed}",
    ]
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        raise SystemExit("resuming failed, see above")
    return json.loads(done.stdout.splitlines()[-1])


def _resume(args: argparse.Namespace) -> dict[str, Any]:
    """Inside a fresh process: from opening the shards to the first batch."""
    begun = time.perf_counter()
    from vlsuite.batches.stream import PairShards

    imported = time.perf_counter()
    import_rss = _rss_mb("self", "VmHWM")
    config, build = _settings(args)
    tokenizer_ready = time.perf_counter()
    shards = PairShards.open(config)
    opened = time.perf_counter()
    with _WorkerMemory() as memory:
        steps = build(shards).from_position(args.position)
        ((batch,),) = list(islice(steps, 1))
        first = time.perf_counter()
    assert len(batch) == args.batch
    return {
        "import_s": round(imported - begun, 2),
        "import_rss_mb": import_rss,
        "open_s": round(opened - tokenizer_ready, 2),
        "first_batch_s": round(first - tokenizer_ready, 2),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "worker_peak_rss_mb": memory.peak_mb,
    }


def _settings(args: argparse.Namespace) -> tuple[Any, Any]:
    from vlsuite.batches.end_of_text import EndOfText
    from vlsuite.batches.pairs import PairReader
    from vlsuite.batches.stream import DataConfig, Place, TrainStream
    from vlsuite.batches.tokenizer import load_tokenizer
    from vlsuite.batches.transforms import AugmentConfig, TrainTransform

    folder = args.resume_in
    config = DataConfig(train=(str(folder / "shards"),), num_workers=args.workers)
    tokenizer = load_tokenizer("words", context_length=24, folder=str(folder / "tokenizer"))
    place = Place(rank=0, world_size=1, global_batch_size=args.batch, micro_batch_size=args.batch)
    transform = TrainTransform(AugmentConfig(), size=(32, 32), interpolation="bicubic")
    return config, lambda shards: TrainStream(
        config,
        shards,
        place=place,
        reader=PairReader(
            transform=transform,
            tokenizer=tokenizer,
            end_of_text=EndOfText() if config.trim_text else None,
            caption=config.caption,
        ),
        seed=args.seed,
        pin_memory=False,
    )


class _WorkerMemory:
    """Looks at the peak memory of this process's children 20 times a second; forked pages that
    are shared with the parent count in full."""

    def __init__(self) -> None:
        self.peak_mb = 0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "_WorkerMemory":
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            peaks = [_rss_mb(child, "VmHWM") for child in _children()]
            self.peak_mb = max([self.peak_mb, *peaks])


def _children() -> Sequence[str]:
    try:
        tasks = list(Path("/proc/self/task").iterdir())
        return [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _rss_mb(process: str, field: str) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith(field)), 0)


def _webdataset_rate(tar: Path) -> float:
    """Samples per second of reading without decoding, the best of three passes."""
    from webdataset.compat import WebDataset

    rates = []
    for _ in range(3):
        begun = time.perf_counter()
        count = sum(1 for _ in WebDataset([str(tar)], shardshuffle=False))
        rates.append(count / (time.perf_counter() - begun))
    return max(rates)


def _show(cold: dict[str, Any], warm: dict[str, Any], position: int, peer: float) -> None:
    print(f"{'':34}{'first start':>12}{'later':>9}")
    for label, name in (
        ("imports, s", "import_s"),
        ("opening the shards, s", "open_s"),
        ("opening to the first batch, s", "first_batch_s"),
        ("memory after the imports, MB", "import_rss_mb"),
        ("peak memory, MB", "peak_rss_mb"),
        ("peak memory of a worker, MB", "worker_peak_rss_mb"),
    ):
        print(f"{label:34}{cold[name]:12}{warm[name]:9}")
    print(
        f"webdataset reads {peer:,.0f} samples/s, so {position:,} samples before this place "
        f"would take {position / peer / 60:,.1f} min (extrapolated; one process, no decoding)"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run_as_program(main)
