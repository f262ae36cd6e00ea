"""From stored samples to the batches of a model family: what the data stream asks of it."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np

from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.batches.batch import Batch, Skipped

T = TypeVar("T")


class Read(NamedTuple):
    """One sample as its family wants it.

    Attributes:
        content: whatever ``collate`` joins; it may have a size of its own.
        mended: what had to be put right in it, for counting.
    """

    content: Any
    mended: tuple[str, ...] = ()


class BatchFacts(NamedTuple):
    """What every batch carries; see ``Batch``."""

    uids: tuple[str, ...]
    sources: tuple[int, ...]
    skipped: tuple[Skipped, ...]
    mended: tuple[str, ...]


@runtime_checkable
class SampleReader(Protocol):
    """Decodes samples in worker processes, and joins them into batches there."""

    def read(self, sample: StoredSample, rng: np.random.Generator) -> Read:
        """Decode one sample for training.

        Args:
            sample: members by role.
            rng: keyed by the seed and the place in the sequence: all that is random is drawn from
                it, so that no draw depends on workers, prefetching or restarts.
        Raises:
            BadSampleError: it cannot be used; it is counted, and another stands in.
        """
        ...

    def collate(self, contents: Sequence[Any], facts: BatchFacts) -> Batch:
        """The batch of some samples, in their order."""
        ...


@runtime_checkable
class SourcedReader(SampleReader, Protocol):
    """A reader that reads the samples of each source in their own way."""

    def of_source(self, source: int) -> SampleReader:
        """What reads the samples of a source, by its position in ``data.train``."""
        ...


@runtime_checkable
class PlacedReader(SampleReader, Protocol):
    """A reader that reads differently as training goes on: a curriculum."""

    def at(self, position: int) -> SampleReader:
        """What reads the sample at a place of the training sequence, counted from 0."""
        ...
