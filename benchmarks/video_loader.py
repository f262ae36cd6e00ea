"""How many clips does one core give training a second: from videos, with an index, from pictures?

Real videos are built three times by ``vlsuite data build video``: as they are, with an index of
frames, and as packed pictures. Each set goes through the real training stream (index, read, decode,
crop, batch) in this process without workers; the process that decodes videos shares its core. Sets
take turns, a round each. Tokenizing is left out: a stand-in gives every caption the same ids.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.support.data_folder import VARIABLE, file_named
from benchmarks.support.environment import describe
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from data_pipelines.schema import VIDEO_SUFFIXES
from data_pipelines.shards.index import ShardIndex
from data_pipelines.sources.source import Target
from data_pipelines.sources.video import VideoSource
from vlsuite.batches.clips import ClipReader
from vlsuite.batches.curriculum import FrameCurriculum
from vlsuite.batches.stream import DataConfig, PairShards, Place, TrainStream
from vlsuite.batches.tokenizer import CachedTokenizer
from vlsuite.batches.transforms import AugmentConfig, TrainTransform

_SHARD = "videos-000000.tar"
_CONTEXT_LENGTH = 77
_SETS: dict[str, dict[str, Any]] = {
    "videos": {},
    "indexed": {"probe": "index"},
    "pictures": {"store": "frames"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """``size`` in pixels; ``clips`` a round, a multiple of the batch size."""

    size: int
    frames: int
    packed: int
    batch_size: int
    clips: int
    rounds: int
    seed: int


def main() -> int:
    """Build the sets and time them; returns the exit code."""
    args = _parse()
    settings = Settings(
        size=args.size,
        frames=args.frames,
        packed=args.packed,
        batch_size=args.batch_size,
        clips=max(1, args.clips // args.batch_size) * args.batch_size,
        rounds=args.rounds,
        seed=args.seed,
    )
    shard = file_named(args.shard, _SHARD, option="SHARD")
    with TemporaryDirectory() as folder:
        return _compare(settings, _built(shard, Path(folder), settings), save=args.save)


def _built(shard: Path, folder: Path, settings: Settings) -> dict[str, Path]:
    """The three sets."""
    videos = folder / "files"
    videos.mkdir()
    index = ShardIndex.open(shard)
    for number in range(len(index)):
        members = index.read(number)
        suffix = next((one for one in VIDEO_SUFFIXES if one in members), None)
        if suffix and "txt" in members:
            (videos / f"{number:05d}.{suffix}").write_bytes(members[suffix])
            (videos / f"{number:05d}.txt").write_bytes(members["txt"])
    found = {}
    for name, own in _SETS.items():
        frames = settings.packed if own.get("store") == "frames" else None
        chosen: dict[str, Any] = {**own, **({} if frames is None else {"frames": frames})}
        source = VideoSource(path=videos, **chosen)
        source.build(Target(out_dir=folder / name))
        found[name] = folder / name
    return found


def _compare(settings: Settings, built: dict[str, Path], *, save: bool) -> int:
    environment = describe()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"clips of {settings.frames} frames, {settings.size} pixels: clips/s on one core")
    print("  " + "  ".join(f"{name:>10}" for name in ("round", *built)))
    rates: dict[str, list[float]] = {name: [] for name in built}
    for number in range(-1, settings.rounds):  # the first is thrown away
        for name, path in built.items():
            start = time.perf_counter()
            count = sum(len(batch) for batch in _batches(path, settings))
            if number >= 0:
                rates[name].append(count / (time.perf_counter() - start))
        if number >= 0:
            row = (f"{rates[name][-1]:10.1f}" for name in built)
            print("  " + "  ".join((f"{number + 1:>10}", *row)), flush=True)
    figures: dict[str, Any] = {
        f"clips_per_s_{name}": round(median(own), 1) for name, own in rates.items()
    }
    for name in ("indexed", "pictures"):
        ratios = [a / b for a, b in zip(rates[name], rates["videos"], strict=True)]
        figures[f"{name}_vs_videos"] = round(median(ratios), 3)
        figures[f"{name}_vs_videos_range"] = [round(min(ratios), 3), round(max(ratios), 3)]
    figures |= {
        f"mb_{name}": round(sum(one.stat().st_size for one in path.glob("*.tar")) / 1e6, 1)
        for name, path in built.items()
    }
    for name, value in figures.items():
        print(f"  {name:28} {value}")
    finish("video_loader", figures, environment, config=asdict(settings), save=save)
    return 0


def _batches(path: Path, settings: Settings) -> Iterator[Any]:
    data = DataConfig(train=(str(path),), num_workers=0, trim_text=False)
    size = settings.batch_size
    stream = TrainStream(
        data,
        PairShards(data.train),
        place=Place(rank=0, world_size=1, global_batch_size=size, micro_batch_size=size),
        reader=ClipReader(
            transform=TrainTransform(
                AugmentConfig(), size=(settings.size, settings.size), interpolation="bicubic"
            ),
            tokenizer=CachedTokenizer(_same_ids),
            data=data,
            curriculum=FrameCurriculum.parsed((str(settings.frames),)),
            end_of_text=None,
        ),
        seed=settings.seed,
        pin_memory=False,
    )
    return (step[0] for step in islice(stream.from_position(0), settings.clips // size))


def _same_ids(texts: str | list[str]) -> torch.Tensor:
    count = 1 if isinstance(texts, str) else len(texts)
    return torch.zeros(count, _CONTEXT_LENGTH, dtype=torch.long)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.video_loader",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    help_text = f"a tar of captioned videos (default: {_SHARD} of ${VARIABLE})"
    parser.add_argument("shard", nargs="?", type=Path, help=help_text)
    parser.add_argument("--clips", type=int, default=96, help="a round (96)")
    parser.add_argument("--frames", type=int, default=4, help="of a training clip (4)")
    parser.add_argument("--packed", type=int, default=16, help="pictures packed of each (16)")
    parser.add_argument("--batch-size", type=int, default=8, help="clips of a batch (8)")
    parser.add_argument("--size", type=int, default=224, help="side of the view in pixels (224)")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds of each set (5)")
    parser.add_argument("--seed", type=int, default=0, help="of the order and the frames")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 48 clips")
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.clips = 2, 48
    return args


if __name__ == "__main__":
    run_as_program(main)
