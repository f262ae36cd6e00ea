"""The endless training sequence: which sample stands where, for any number of processes.

The sequence is a pure function of (seed, shards): epoch after epoch, each a permutation of all
samples. Global batch g takes positions [g B, (g + 1) B), process r of W its r-th W-th of them.
So the state of the stream is one number, the samples consumed, and changing the number of
processes, workers or the prefetch depth changes nothing. Batches run across epoch ends; no
sample is dropped at a tail.
"""

import glob
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.order import epoch_order
from vlsuite.batches.batch import Batch
from vlsuite.batches.dataset import PairDataset, Slot
from vlsuite.batches.tokenizer import CachedTokenizer
from vlsuite.batches.transforms import AugmentConfig, TrainTransform
from vlsuite.errors import ConfigError, DataError

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class DataConfig:
    """Where the training pairs come from and how they are shown.

    Attributes:
        train: shard files or patterns: "DIR/train-{000000..000099}.tar", "DIR/*.tar", "DIR".
        num_workers: decoding processes per training process; 0 decodes in the train loop.
        prefetch: micro-batches made ahead by each worker.
        caption: "random" draws one of a sample's captions each time, "first" takes the first.
        trim_text: cut token ids after the longest caption of a micro-batch, where the text
            tower cannot tell the difference.
        max_skip_share: the run stops when more than this share of samples is unusable.
        augment: random changes to the pictures.
    """

    train: tuple[str, ...] = ()
    num_workers: int = 2
    prefetch: int = 4
    caption: Literal["first", "random"] = "random"
    trim_text: bool = True
    max_skip_share: float = 0.05
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        if self.num_workers < 0 or self.prefetch < 1:
            raise ConfigError("data.num_workers must be >= 0 and data.prefetch >= 1")


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


class PairShards:
    """The shards of all sources, opened once: sizes and global numbering."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.indexes: list[ShardIndex] = []
        self.sources: list[int] = []
        for source, pattern in enumerate(patterns):
            paths = expand_pattern(pattern)
            self.indexes += [ShardIndex.open(path) for path in paths]
            self.sources += [source] * len(paths)
        self.lengths = [len(index) for index in self.indexes]
        self.num_samples = sum(self.lengths)
        if self.num_samples == 0:
            raise DataError(
                f"no samples in {', '.join(patterns) or 'data.train (empty)'}; name shards with "
                f"--set data.train=DIR (make some with 'vlsuite data build')"
            )

    @property
    def problems(self) -> list[str]:
        """What is damaged in the shards, one line each."""
        return [f"{i.path.name}: {line}" for i in self.indexes for line in i.problems]


class TrainStream:
    """Micro-batches of this process from any position on, forever.

    Args:
        config: of the data.
        shards: opened shards.
        place: this process's part of a global batch.
        transform, tokenizer, trim_text, seed: see PairDataset.
        pin_memory: page-locked batches, for copies to a GPU.
    """

    def __init__(
        self,
        config: DataConfig,
        shards: PairShards,
        *,
        place: Place,
        transform: TrainTransform,
        tokenizer: CachedTokenizer,
        trim_text: bool,
        seed: int,
        pin_memory: bool,
    ) -> None:
        self._config = config
        self._shards = shards
        self._place = place
        self._seed = seed
        self._pin_memory = pin_memory
        self._dataset = PairDataset(
            shards.indexes,
            sources=shards.sources,
            transform=transform,
            tokenizer=tokenizer,
            caption=config.caption,
            trim_text=config.trim_text and trim_text,
            seed=seed,
        )

    def from_position(self, samples_consumed: int) -> Iterator[list[Batch]]:
        """The micro-batches of each optimizer step, starting after ``samples_consumed``.

        Args:
            samples_consumed: over all processes, a multiple of the global batch size.
        """
        sampler = SlotSampler(
            self._shards.lengths, self._place, seed=self._seed, start=samples_consumed
        )
        workers = self._config.num_workers
        options: dict[str, Any] = {}
        if workers:
            options = {
                "prefetch_factor": self._config.prefetch,
                "persistent_workers": True,
                "worker_init_fn": _one_thread,
            }
        loader = DataLoader(
            self._dataset,
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=_as_is,
            pin_memory=self._pin_memory,
            **options,
        )
        batches = iter(loader)
        while True:
            yield [next(batches) for _ in range(self._place.num_micro_batches)]


class SlotSampler(Sampler[list[Slot]]):
    """Slots of each micro-batch of one process, from a position on, without end."""

    def __init__(self, lengths: Sequence[int], place: Place, *, seed: int, start: int) -> None:
        self._lengths = list(lengths)
        self._place = place
        self._seed = seed
        self._start = start

    def __iter__(self) -> Iterator[list[Slot]]:
        place = self._place
        sample_at = EpochLookup(self._lengths, seed=self._seed)
        local = place.global_batch_size // place.world_size
        position = self._start + place.rank * local
        while True:
            for first in range(position, position + local, place.micro_batch_size):
                rows = range(first, first + place.micro_batch_size)
                yield [Slot(row, sample_at(row)) for row in rows]
            position += place.global_batch_size


class EpochLookup:
    """The sample at a position of the endless sequence; remembers the last two epochs' orders."""

    def __init__(self, lengths: Sequence[int], *, seed: int) -> None:
        self._num_samples = sum(lengths)
        self._order = partial(epoch_order, lengths, seed=seed)
        self._orders: dict[int, np.ndarray] = {}

    def __call__(self, position: int) -> int:
        epoch, offset = divmod(position, self._num_samples)
        if epoch not in self._orders:
            self._orders = {e: o for e, o in self._orders.items() if e == epoch - 1}
            self._orders[epoch] = self._order(epoch=epoch)
        return int(self._orders[epoch][offset])


def expand_pattern(pattern: str) -> list[str]:
    """Shard files named by a path, a glob, a {000..099} range, or a folder, sorted.

    Raises:
        DataError: nothing matches; the message says what was looked for.
    """
    match = _BRACES.search(pattern)
    if match:
        low, high = match.groups()
        numbers = range(int(low), int(high) + 1)
        filled = [
            pattern[: match.start()] + str(n).zfill(len(low)) + pattern[match.end() :]
            for n in numbers
        ]
        return [path for part in filled for path in expand_pattern(part)]
    if any(char in pattern for char in "*?["):
        found = sorted(glob.glob(pattern))
    else:
        found = sorted(glob.glob(f"{glob.escape(pattern.rstrip('/'))}/*.tar")) or [pattern]
    if not found:
        raise DataError(
            f"no shard matches '{pattern}'; check the path, or make shards with "
            f"'vlsuite data build' ('vlsuite data inspect' lists what a folder holds)"
        )
    return found


def _as_is(batch: Any) -> Any:
    """The dataset collates by itself."""
    return batch


def _one_thread(_worker: int) -> None:
    torch.set_num_threads(1)
