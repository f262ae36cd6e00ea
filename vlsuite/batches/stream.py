"""Micro-batches of the endless training sequence for one of any number of processes.

Global batch g takes positions [g B, (g + 1) B) of the sequence (see ``sequence``), process r of W
its r-th W-th of them. So the state of the stream is one number, the samples consumed, and
changing the number of processes, workers or the prefetch depth changes nothing.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, Sampler

from data_pipelines.shards.read_ahead import ReadAhead
from vlsuite.batches.bad_input import BadInputHandler
from vlsuite.batches.batch import Batch
from vlsuite.batches.data_config import DataConfig
from vlsuite.batches.dataset import SampleDataset, UidRule
from vlsuite.batches.pair_shards import PairShards
from vlsuite.batches.reading import Reading
from vlsuite.batches.sample_reader import SampleReader
from vlsuite.batches.sequence import SampleSequence
from vlsuite.batches.shuffling import Shuffling
from vlsuite.batches.workers import Failure, WorkerDataset, lost_worker, start_worker
from vlsuite.errors import DataError

# So much longer than its time limit, a wait was one of a process that was suspended.
_SUSPENDED_SECONDS = 2.0

_LOOK_AHEAD_EVERY = 16  # micro-batches between two looks at which shards come next


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Which part of every global batch this process takes, in micro-batches.

    Attributes:
        rank: of this process, 0 to world_size - 1.
        world_size: processes.
        global_batch_size: samples per optimizer step over all processes.
        micro_batch_size: samples per forward pass of one process.
    """

    rank: int
    world_size: int
    global_batch_size: int
    micro_batch_size: int

    @property
    def num_micro_batches(self) -> int:
        """Forward passes per optimizer step of one process."""
        return self.global_batch_size // (self.world_size * self.micro_batch_size)


class TrainStream:
    """Micro-batches of this process from any position on, forever.

    Args:
        config: of the data.
        shards: opened shards.
        place: this process's part of a global batch.
        reader: decodes samples and joins them into batches; of the model's family.
        seed: of the run.
        pin_memory: page-locked batches, for copies to a GPU.
        quarantine: folder for copies of unusable samples; needed by data.on_bad=quarantine.
        uids: what names a sample without a uid.
        shuffling: the rule of the order; None for what the config comes to.
    """

    def __init__(
        self,
        config: DataConfig,
        shards: PairShards,
        *,
        place: Place,
        reader: SampleReader,
        seed: int,
        pin_memory: bool,
        quarantine: Path | None = None,
        uids: UidRule = "shard",
        shuffling: Shuffling | None = None,
    ) -> None:
        shuffling = shuffling or shards.shuffling
        self._config = config
        self._shards = shards.shard_set
        self._place = place
        self._pin_memory = pin_memory
        self._reading = Reading(max(config.num_workers, 1))
        self.sequence = SampleSequence(
            shards.lengths,
            seed=seed,
            weights=config.weights,
            windows=shuffling.windows,
            resample=config.resample,
            global_batch_size=place.global_batch_size,
            drop_tail=config.drop_tail,
            kept=shards.kept,
        )
        self._dataset = SampleDataset(
            shards.parts(shuffling),
            sequence=self.sequence,
            reader=reader,
            seed=seed,
            handler=BadInputHandler(config.on_bad, folder=quarantine),
            uids=uids,
            reading=self._reading,
            captions=shards.captions,
        )

    def from_position(self, samples_consumed: int) -> Iterator[list[Batch]]:
        """The micro-batches of each optimizer step, starting after ``samples_consumed``.

        Args:
            samples_consumed: over all processes, a multiple of the global batch size.
        Raises:
            DataError: the data cannot be used or read; a worker stalled or died.
        """
        batches = iter(self._loader(samples_consumed))
        while True:
            yield [self._next(batches) for _ in range(self._place.num_micro_batches)]

    def _loader(self, start: int) -> DataLoader:
        options: dict[str, Any] = {}
        if self._config.num_workers:
            options = {
                "prefetch_factor": self._config.prefetch,
                "persistent_workers": True,
                "worker_init_fn": start_worker,
                "timeout": self._config.worker_timeout,
                # Named, since Python 3.14 and parents made by a fork server choose otherwise.
                "multiprocessing_context": "fork" if sys.platform == "linux" else None,
            }
        ahead = ReadAhead(self._shards.shards)
        return DataLoader(
            WorkerDataset(self._dataset),
            batch_sampler=PositionSampler(self.sequence, self._place, start=start, ahead=ahead),
            num_workers=self._config.num_workers,
            collate_fn=_as_is,
            pin_memory=self._pin_memory,
            **options,
        )

    def _next(self, batches: Iterator[Batch | Failure]) -> Batch:
        try:
            found = self._waited_for(batches)
        except (RuntimeError, ConnectionError, EOFError) as error:
            lost = lost_worker(
                error, timeout=self._config.worker_timeout, was_reading=self._slowest()
            )
            raise lost or error from error
        if isinstance(found, Failure):
            raise DataError(found.message)
        return found

    def _waited_for(self, batches: Iterator[Batch | Failure]) -> Batch | Failure:
        """The next one; a wait that the whole process slept through (Ctrl-Z) begins anew."""
        while True:
            start = time.monotonic()
            try:
                return next(batches)
            except RuntimeError as error:
                late = time.monotonic() - start - self._config.worker_timeout
                if "timed out" not in str(error) or late < _SUSPENDED_SECONDS:
                    raise

    def _slowest(self) -> str:
        """What the workers are at, for a message: one slow sample, or a batch of very many."""
        slowest = self._reading.longest()
        if slowest is None:
            return ""
        position, seconds = slowest
        if seconds < self._config.worker_timeout / 2:
            size = self._place.micro_batch_size
            return (
                f": reading and decoding the {size:,} samples of a micro-batch takes longer than "
                "that; lower micro_batch_size or global_batch_size"
            )
        draw = self.sequence(position)
        name = self._shards.name(draw.shard)
        return f" (sample {draw.row} of {name} has been in work for {seconds:.0f} s)"


class PositionSampler(Sampler[list[int]]):
    """Positions of each micro-batch of one process, from a position on, without end."""

    def __init__(
        self, sequence: SampleSequence, place: Place, *, start: int, ahead: ReadAhead
    ) -> None:
        self._sequence = sequence
        self._place = place
        self._start = start
        self._ahead = ahead

    def __iter__(self) -> Iterator[list[int]]:
        place = self._place
        local = place.global_batch_size // place.world_size
        position = self._start + place.rank * local
        made = 0
        while True:
            for first in range(position, position + local, place.micro_batch_size):
                if self._ahead.is_needed and made % _LOOK_AHEAD_EVERY == 0:
                    self._ahead.want(self._sequence.windows_at(first))
                made += 1
                yield list(range(first, first + place.micro_batch_size))
            position += place.global_batch_size


def _as_is(batch: Any) -> Any:
    """The dataset collates by itself."""
    return batch
