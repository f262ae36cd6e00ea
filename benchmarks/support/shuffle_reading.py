"""What reading in an order costs: processor time, open files, memory; each in a process of its own.

Samples are read and handed on undecoded: what is measured is finding, opening and reading alone.
"""

import multiprocessing
import os
import time
from collections.abc import Sequence
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

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


class Reading(NamedTuple):
    """One measurement.

    Attributes:
        folder: of the tars.
        rule: of ``RULES``.
        world_size: processes that share the batches; the first of them reads.
        batch_size: global.
        steps: batches in each of three parts that are timed apart.
        seed: of the order.
    """

    folder: Path
    rule: str
    world_size: int
    batch_size: int
    steps: int
    seed: int


def read(what: Reading) -> dict[str, float]:
    """Read in a forked process, which has imported everything already.

    Raises:
        RuntimeError: it failed; its standard error says why.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_read, args=(what, sender))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        raise RuntimeError("reading failed, see above") from None
    finally:
        process.join()


def _read(what: Reading, sender: Connection) -> None:
    stream = _stream(what)
    begun = peak = _rss_mb()
    started = time.perf_counter()
    steps = stream.from_position(0)
    next(steps)
    first_batch = time.perf_counter() - started
    rates, open_files = [], 0
    for _ in range(3):
        started = time.process_time()
        for _ in islice(steps, what.steps):
            open_files = max(open_files, _open_files(what.folder))
            peak = max(peak, _rss_mb())
        seconds = time.process_time() - started
        rates.append(what.steps * what.batch_size // what.world_size / seconds)
    sender.send(
        {
            "first_batch_s": round(first_batch, 3),
            "samples_per_cpu_s": round(max(rates)),
            "samples_per_cpu_s_at_first": round(rates[0]),
            "open_files": open_files,
            "added_rss_mb": peak - begun,
        }
    )


def _stream(what: Reading) -> TrainStream:
    shards = 60 if what.rule == "60 shards" else None
    config = DataConfig(train=(str(what.folder),), num_workers=0, window_shards=shards)
    opened = PairShards.open(config)
    return TrainStream(
        config,
        opened,
        place=Place(
            rank=0,
            world_size=what.world_size,
            global_batch_size=what.batch_size,
            micro_batch_size=what.batch_size // what.world_size,
        ),
        reader=_Bytes(),
        seed=what.seed,
        pin_memory=False,
        shuffling=Shuffling((None, 0), ()) if what.rule == "before" else None,
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


def _rss_mb() -> int:
    """Memory of this process now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))
