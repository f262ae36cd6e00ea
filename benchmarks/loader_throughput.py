"""How many training pictures does one core read, decode and crop in a second?

Ours is the real training stream (index, read, decode, crop, batch). The peer is webdataset with the
stages and buffer sizes of open_clip_train 3.3 and open_clip's training transform; they are put
together here because its own reader fails with webdataset 1.0. Both run in one process on one core
without workers, on the same shard, in alternating rounds. Ours hands out uint8 pixels, which are
normalised on the device; the peer hands out normalised floats. The second ratio adds that work,
on the CPU, to our side. Tokenizing is left out on both sides: a stand-in gives every caption the
same ids.

Then the bare reading of all samples, and our pixels against Pillow's on the same boxes.
"""

import argparse
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

from benchmarks.support.data_folder import VARIABLE, file_named
from benchmarks.support.environment import describe
from benchmarks.support.loader_pixels import pixel_differences
from benchmarks.support.program import run_as_program
from benchmarks.support.report import finish
from data_pipelines.errors import DataError
from data_pipelines.shards.index import ShardIndex
from vlsuite.batches.pairs import PairReader
from vlsuite.batches.stream import DataConfig, PairShards, Place, TrainStream
from vlsuite.batches.tokenizer import CachedTokenizer
from vlsuite.batches.transforms import AugmentConfig, TrainTransform, normalise

_SHARD = "imagenet-samples-000000.tar"
_CONTEXT_LENGTH = 77


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Of both sides; ``size`` in pixels, ``num_samples`` a round, a multiple of the batch size."""

    shard: str
    size: int
    batch_size: int
    num_samples: int
    num_compared: int
    rounds: int
    seed: int


class Spread(NamedTuple):
    """Over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Rounded to 3 decimals."""
        return cls(*(round(value, 3) for value in (median(values), min(values), max(values))))


def main() -> int:
    """Run the comparison; returns the exit code."""
    args = _parse()
    args.shard = file_named(args.shard, _SHARD, option="SHARD")
    index = ShardIndex.open(args.shard)
    num_samples = min(len(index), args.samples) // args.batch_size * args.batch_size
    if num_samples == 0:
        print(f"error: {args.shard} has fewer than {args.batch_size} samples", file=sys.stderr)
        return 2
    settings = Settings(
        shard=str(args.shard.resolve()),
        size=args.size,
        batch_size=args.batch_size,
        num_samples=num_samples,
        num_compared=min(len(index), args.compared),
        rounds=args.rounds,
        seed=args.seed,
    )
    return _compare(settings, index, save=args.save)


def _compare(settings: Settings, index: ShardIndex, *, save: bool) -> int:
    environment = describe()
    core = _take_one_core()
    decoded = _decoding_rounds(settings)
    raw = _reading_rounds(settings, index)
    pixels = pixel_differences(index, size=settings.size, limit=settings.num_compared)
    print("\npixels against Pillow on the same boxes, levels of 255")
    for name, value in pixels.items():
        print(f"  {name:28} {value}")
    config = asdict(settings) | {"shard": Path(settings.shard).name, "core": core}
    finish("loader_throughput", decoded | raw | pixels, environment, config=config, save=save)
    return 0


def _take_one_core() -> int | None:
    """Stay on the last core this process may use; None where the system cannot be asked."""
    torch.set_num_threads(1)
    if not hasattr(os, "sched_setaffinity"):
        return None
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def _decoding_rounds(settings: Settings) -> dict[str, Any]:
    sides = {
        "ours": lambda: _ours(settings),
        "ours_normalised": lambda: _ours_normalised(settings),
        "peer": _peer(settings),
    }
    print(f"decoded, cropped to {settings.size} pixels and batched: samples/s on one core")
    rates = _rounds(sides, settings, num_units=settings.num_samples)
    ratios = [a / b for a, b in zip(rates["ours"], rates["peer"], strict=True)]
    normalised = [a / b for a, b in zip(rates["ours_normalised"], rates["peer"], strict=True)]
    figures = {"ratio_vs_webdataset_pil": ratios, "ratio_with_normalise": normalised}
    return _spreads(figures) | {
        "samples_per_s_per_core": round(median(rates["ours"]), 1),
        "samples_per_s_per_core_normalised": round(median(rates["ours_normalised"]), 1),
        "peer_samples_per_s_per_core": round(median(rates["peer"]), 1),
    }


def _reading_rounds(settings: Settings, index: ShardIndex) -> dict[str, Any]:
    megabytes = Path(settings.shard).stat().st_size / 1e6
    sides = {
        "index": lambda: sum(1 for _ in index),
        "webdataset": lambda: sum(
            1 for _ in _webdataset().WebDataset(settings.shard, shardshuffle=False)
        ),
        "plain": lambda: _read_plainly(settings.shard),
    }
    print("\nread only, page cache warm: samples/s (plain: the file as one stream)")
    rates = _rounds(sides, settings, num_units=len(index))
    ratios = [a / b for a, b in zip(rates["index"], rates["webdataset"], strict=True)]
    speeds = {name: median(values) * megabytes / len(index) for name, values in rates.items()}
    print("  " + "  ".join(f"{name} {speed:.0f} MB/s" for name, speed in speeds.items()))
    return _spreads({"raw_ratio_vs_webdataset": ratios}) | {
        "raw_samples_per_s": {name: round(median(values)) for name, values in rates.items()},
        "raw_mb_per_s": {name: round(speed) for name, speed in speeds.items()},
    }


def _rounds(
    sides: dict[str, Callable[[], int]], settings: Settings, *, num_units: int
) -> dict[str, list[float]]:
    """Units per second of each side in each round; one more round before is thrown away."""
    print("  " + "  ".join(f"{name:>16}" for name in ("round", *sides)))
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, settings.rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            if number >= 0:
                rates[name].append(num_units / (time.perf_counter() - start))
        if number >= 0:
            row = (f"{rates[name][-1]:16.1f}" for name in sides)
            print("  " + "  ".join((f"{number + 1:>16}", *row)), flush=True)
    return rates


def _spreads(ratios: dict[str, list[float]]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, values in ratios.items():
        spread = Spread.of(values)
        print(f"  {name}: {spread.median} ({spread.low} to {spread.high})")
        figures |= {name: spread.median, f"{name}_range": [spread.low, spread.high]}
    return figures


def _batches(settings: Settings) -> Iterator[Any]:
    """One epoch of our stream, opened anew as the peer opens its own."""
    data = DataConfig(train=(settings.shard,), num_workers=0, trim_text=False)
    transform = TrainTransform(
        AugmentConfig(), size=(settings.size, settings.size), interpolation="bicubic"
    )
    batch_size = settings.batch_size
    stream = TrainStream(
        data,
        PairShards(data.train),
        place=Place(
            rank=0, world_size=1, global_batch_size=batch_size, micro_batch_size=batch_size
        ),
        reader=PairReader(
            transform=transform,
            tokenizer=CachedTokenizer(_same_ids),
            end_of_text=None,
            caption=data.caption,
        ),
        seed=settings.seed,
        pin_memory=False,
    )
    steps = stream.from_position(0)
    return (step[0] for step in islice(steps, settings.num_samples // batch_size))


def _ours(settings: Settings) -> int:
    return _checked(sum(len(batch) for batch in _batches(settings)), settings)


def _ours_normalised(settings: Settings) -> int:
    from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD

    mean = torch.tensor(OPENAI_DATASET_MEAN).reshape(3, 1, 1)
    std = torch.tensor(OPENAI_DATASET_STD).reshape(3, 1, 1)
    floats = (
        normalise(batch.images, mean=mean, std=std, dtype=torch.float32)
        for batch in _batches(settings)
    )
    return _checked(sum(len(images) for images in floats), settings)


def _checked(count: int, settings: Settings) -> int:
    """A side that delivers less than asked for would look fast."""
    if count != settings.num_samples:
        raise DataError(
            f"{count} of {settings.num_samples} samples came out of {settings.shard}; choose a "
            "shard of intact image-text pairs ('vlsuite data validate' checks one)"
        )
    return count


def _is_pair(sample: dict[str, Any]) -> bool:
    return "txt" in sample and any(name in sample for name in ("jpg", "png", "jpeg", "webp"))


def _peer(settings: Settings) -> Callable[[], int]:
    """The stages that open_clip_train 3.3 puts together for training shards, in its order."""
    from open_clip import image_transform

    webdataset = _webdataset()
    transform = image_transform(settings.size, is_train=True)

    def run() -> int:
        pipeline = webdataset.DataPipeline(
            webdataset.SimpleShardList([settings.shard]),
            webdataset.split_by_node,
            webdataset.split_by_worker,
            webdataset.tarfile_to_samples(),
            webdataset.shuffle(bufsize=5000, initial=1000),
            webdataset.select(_is_pair),
            webdataset.decode("pilrgb"),
            webdataset.rename(image="jpg;png;jpeg;webp", text="txt"),
            webdataset.map_dict(image=transform, text=lambda text: _same_ids(text)[0]),
            webdataset.to_tuple("image", "text"),
            webdataset.batched(settings.batch_size, partial=False),
        ).with_epoch(settings.num_samples // settings.batch_size)
        loader = webdataset.WebLoader(pipeline, batch_size=None, shuffle=False, num_workers=0)
        return _checked(sum(len(images) for images, _ in loader), settings)

    return run


def _webdataset() -> Any:
    """Imported by name: its type information lacks most of what it exports."""
    return importlib.import_module("webdataset")


def _read_plainly(shard: str) -> int:
    with Path(shard).open("rb", buffering=0) as stream:
        return sum(len(piece) for piece in iter(lambda: stream.read(1 << 20), b""))


def _same_ids(texts: str | list[str]) -> torch.Tensor:
    count = 1 if isinstance(texts, str) else len(texts)
    return torch.zeros(count, _CONTEXT_LENGTH, dtype=torch.long)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.loader_throughput",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "shard",
        nargs="?",
        type=Path,
        help=f"a tar of image-text pairs (default: {_SHARD} of ${VARIABLE})",
    )
    parser.add_argument("--samples", type=int, default=1024, help="a round, at most (1024)")
    parser.add_argument("--batch-size", type=int, default=32, help="samples of a batch (32)")
    parser.add_argument("--size", type=int, default=224, help="side of the view in pixels (224)")
    parser.add_argument("--rounds", type=int, default=7, help="timed rounds of each side (7)")
    parser.add_argument(
        "--compared", type=int, default=1024, help="pictures whose pixels are compared (1024)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--quick", action="store_true", help="3 rounds, pixels of 256 samples: half a minute"
    )
    parser.add_argument("--save", action="store_true", help="append to benchmarks/results")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.compared = 3, 256
    return args


if __name__ == "__main__":
    run_as_program(main)
