"""Samples of many shards by their position in the sequence, decoded into batches."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from torch.utils.data import Dataset

from data_pipelines.shards.shard_parts import ShardParts
from data_pipelines.shards.stored_sample import StoredSample
from vlsuite.batches.bad_input import BadInputHandler, SampleAddress
from vlsuite.batches.batch import Batch, Skipped
from vlsuite.batches.caption_columns import CaptionColumns
from vlsuite.batches.reading import Reading
from vlsuite.batches.sample_reader import BatchFacts, PlacedReader, SampleReader, SourcedReader
from vlsuite.batches.sequence import Draw, SampleSequence
from vlsuite.errors import DataError

#: What names a sample whose json has no uid: its shard and its key, or, in runs that began with
#: vlsuite 0.1, its key alone, which other shards may use as well.
UidRule = Literal["shard", "key"]

#: How many samples may be tried for one position before the run stops.
MAX_SUBSTITUTES = 100

_MASK = (1 << 64) - 1


class _Usable(NamedTuple):
    uid: str
    source: int
    content: Any
    mended: tuple[str, ...]


class SampleDataset(Dataset[Batch]):
    """The training sequence; a list of positions gives one collated batch.

    Everything random about a position (crop, colours, which caption) is drawn from a
    counter-based generator keyed by the seed and the position, so it does not depend on workers,
    prefetching or restarts.

    Args:
        shards: that the sequence draws from.
        sequence: which sample stands where.
        reader: decodes samples and joins them into batches.
        seed: of the run.
        uids: what names a sample without a uid (see ``UidRule``).
        handler: decides about samples that cannot be used.
        reading: told about every position.
        captions: columns besides those that the samples came with; None: there are none.
    """

    def __init__(
        self,
        shards: ShardParts,
        *,
        sequence: SampleSequence,
        reader: SampleReader,
        seed: int,
        handler: BadInputHandler,
        uids: UidRule = "shard",
        reading: Reading | None = None,
        captions: CaptionColumns | None = None,
    ) -> None:
        self._shards = shards
        self._sequence = sequence
        self._reader = reader
        self._reader_at = reader.at if isinstance(reader, PlacedReader) else None
        self._seed = seed & _MASK
        self._handler = handler
        self._uids = uids
        self._reading = reading
        self._captions = captions

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """The micro-batch of these positions, in their order.

        Raises:
            DataError: a sample is unusable and the policy is "raise", or too many are.
        """
        skipped: list[Skipped] = []
        found = [self._usable(position, skipped) for position in positions]
        facts = BatchFacts(
            uids=tuple(one.uid for one in found),
            sources=tuple(one.source for one in found),
            skipped=tuple(skipped),
            mended=tuple(label for one in found for label in one.mended),
        )
        return self._reader.collate([one.content for one in found], facts)

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])

    def _usable(self, position: int, skipped: list[Skipped]) -> _Usable:
        """The sample at a position, or its first usable stand-in; every failure is recorded."""
        if self._reading:
            self._reading.begin(position)
        attempts = min(MAX_SUBSTITUTES, self._sequence.max_attempts)
        for attempt in range(attempts):
            found = self._try(self._sequence(position, attempt), position)
            if isinstance(found, _Usable):
                if self._reading:
                    self._reading.end()
                return found
            skipped.append(dataclasses.replace(found, stand_in=attempt > 0))
        raise DataError(
            f"{attempts} samples in a row are unusable, the last: {skipped[-1].reason} "
            f"({skipped[-1].shard}); run 'vlsuite data validate' on these shards"
        )

    def _try(self, draw: Draw, position: int) -> _Usable | Skipped:
        shard_name = self._shards.shards.name(draw.shard)
        address = SampleAddress(shard_name, draw.row, f"sample {draw.row}")
        members = None
        try:
            part = self._shards.part(draw.shard, draw.row)
            address = address._replace(key=part.key(draw.row))
            members = part.read(draw.row)
            sample = StoredSample(address.key, members, name=part.name(draw.row))
            if self._captions:
                self._captions.choose(
                    sample, shard=draw.shard, row=draw.row, seed=self._seed, position=position
                )
            rng = np.random.Generator(np.random.Philox(key=[self._seed, position]))
            reader = self._reader_at(position) if self._reader_at else self._reader
            if isinstance(reader, SourcedReader):
                reader = reader.of_source(draw.source)
            content, mended = reader.read(sample, rng)
            named = sample if self._uids == "shard" else StoredSample(address.key, members)
            return _Usable(named.uid, draw.source, content, mended)
        except DataError as error:
            return self._handler.handle(error, address, members)
