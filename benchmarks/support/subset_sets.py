"""Large sets of small samples for questions about subsets, and streams over them.

The shards are hard links of one real tar (and of its sidecar), which no part of the reading can
tell from different files; samples have no ids in them, so that file name and key name them, each
another.
"""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_pipelines.shards.find import find_shards
from data_pipelines.shards.index import ShardIndex, store_beside
from data_pipelines.shards.sidecar import SUFFIX
from data_pipelines.shards.stored_sample import StoredSample
from data_pipelines.subsets.choosing import Choosing
from data_pipelines.subsets.pool import Pool
from data_pipelines.subsets.subset import Subset
from vlsuite.batches.batch import Batch
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.sample_reader import BatchFacts, Read
from vlsuite.batches.stream import Place, TrainStream


def make_set(folder: Path, *, num_shards: int, per_shard: int, seed: int) -> Path:
    """Shards of ``per_shard`` samples each; returns their folder."""
    shards = folder / "shards"
    shards.mkdir(parents=True)
    one = folder / "one.tar"
    _write_tar(one, per_shard, seed=seed)
    store_beside(one)
    for number in range(num_shards):
        name = f"{number:06d}.tar"
        os.link(one, shards / name)
        os.link(folder / f"one.tar{SUFFIX}", shards / f"{name}{SUFFIX}")
    return shards


def choose(pool: Pool, count: int, *, seed: int) -> Subset:
    """``count`` samples of a pool, drawn at random."""
    rng = np.random.default_rng(seed)
    places = np.sort(rng.choice(pool.num_samples, count, replace=False))
    ends = np.cumsum([shard.num_samples for shard in pool.identities])
    owners = np.searchsorted(ends, places, side="right")
    starts = np.concatenate([[0], ends[:-1]])
    choosing = Choosing(pool.identities)
    choosing.take(owners, places - starts[owners])
    return Subset(parts=choosing.parts(), provenance={"recipe": "drawn at random", "seed": seed})


def uids_of(shards: Path, subset: Subset) -> set[str]:
    """Of the chosen samples, by way of keys and counts."""
    found: set[str] = set()
    for path, part in zip(find_shards(shards), subset.parts, strict=True):
        index = ShardIndex.open(path)
        found |= {index.name(row) for row in np.flatnonzero(part.counts).tolist()}
    return found


def stream(
    shards: Path, subset: Path, *, rank: int, world_size: int, batch: int, workers: int, seed: int
) -> TrainStream:
    """One process's part of the batches of a training run on the subset."""
    config = DataConfig(train=(str(shards),), subset=(str(subset),), num_workers=workers)
    return TrainStream(
        config,
        PairShards.open(config),
        place=Place(
            rank=rank,
            world_size=world_size,
            global_batch_size=batch,
            micro_batch_size=batch // world_size,
        ),
        reader=UndecodedReader(),
        seed=seed,
        pin_memory=False,
    )


class UndecodedReader:
    """Hands samples on as they are: what is measured is finding and reading them."""

    def read(self, sample: StoredSample, rng: np.random.Generator) -> Read:
        """See ``SampleReader``."""
        return Read(sum(map(len, sample.members.values())))

    def collate(self, contents: Sequence[Any], facts: BatchFacts) -> Batch:
        """See ``SampleReader``."""
        return Batch(
            uids=facts.uids, sources=facts.sources, skipped=facts.skipped, mended=facts.mended
        )


def _write_tar(path: Path, per_shard: int, *, seed: int) -> None:
    import tarfile

    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(20):
        stream = io.BytesIO()
        pixels = rng.integers(0, 256, size=(8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((16, 16)).save(stream, format="JPEG")
        pictures.append(stream.getvalue())
    with tarfile.open(path, "w") as tar:
        for number in range(per_shard):
            members = {"jpg": pictures[number % 20], "txt": f"picture {number}".encode()}
            for suffix, data in members.items():
                entry = tarfile.TarInfo(f"{number:06d}.{suffix}")
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
