"""What reading in an order costs: samples a second, open files, memory; run in a fresh process.

Samples are read and handed on undecoded, in the process itself, as rank 0 of some: what is measured
is finding, opening and reading alone.
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.batches.batch import Batch
from vlsuite.batches.sample_reader import BatchFacts, Read
from vlsuite.batches.shuffling import Shuffling
from vlsuite.batches.stream import DataConfig, PairShards, Place, TrainStream

#: Rules by name: what training does, the same with all files open, and ten shards at a time.
RULES = ("before", "now", "60 shards")


class _Bytes:
    """Counts the bytes of samples."""

    def read(self, sample: StoredSample, rng: np.random.Generator) -> Read:
        """See ``SampleReader``."""
        return Read(sum(map(len, sample.members.values())))

    def collate(self, contents: Sequence[Any], facts: BatchFacts) -> Batch:
        """See ``SampleReader``."""
        return Batch(
            uids=facts.uids, sources=facts.sources, skipped=facts.skipped, mended=facts.mended
        )


def main() -> None:
    """Print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rule", choices=RULES)
    parser.add_argument("--world-size", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    args = parser.parse_args()
    print(json.dumps(_read(args)))


def _read(args: argparse.Namespace) -> dict[str, float]:
    begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    steps = _stream(args).from_position(0)
    size = args.batch // args.world_size
    rates, open_files, started = [], 0, time.perf_counter()
    next(steps)
    first_batch = time.perf_counter() - started
    for part in range(3):
        started, count = time.perf_counter(), 0
        for _ in islice(steps, args.steps):
            count += size
            open_files = max(open_files, _open_files(args.folder))
        rates.append(count / (time.perf_counter() - started))
        if part == 0:
            first = rates[0]
    return {
        "first_batch_s": round(first_batch, 3),
        "samples_per_s": round(max(rates)),
        "samples_per_s_at_first": round(first),
        "open_files": open_files,
        "added_rss_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begun) / 1024),
    }


def _stream(args: argparse.Namespace) -> TrainStream:
    shards = 60 if args.rule == "60 shards" else None
    config = DataConfig(train=(str(args.folder),), num_workers=0, window_shards=shards)
    opened = PairShards.open(config)
    return TrainStream(
        config,
        opened,
        place=Place(
            rank=0,
            world_size=args.world_size,
            global_batch_size=args.batch,
            micro_batch_size=args.batch // args.world_size,
        ),
        reader=_Bytes(),
        seed=args.seed,
        pin_memory=False,
        shuffling=Shuffling((None, 0), ()) if args.rule == "before" else None,
    )


def _open_files(folder: Path) -> int:
    """Files of the folder that this process has open now."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            found += os.readlink(f"/proc/self/fd/{name}").startswith(str(folder))
        except OSError:
            continue
    return found


if __name__ == "__main__":
    main()
