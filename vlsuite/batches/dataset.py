"""Image-text pairs of many shards by their position in the sequence, decoded into batches."""

import dataclasses
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from data_pipelines.shards.pairs import identity_of, image_of, read_captions, uid_of
from data_pipelines.shards.shard_set import ShardSet
from vlsuite.batches.bad_input import BadInputHandler, SampleAddress
from vlsuite.batches.batch import Batch, Skipped
from vlsuite.batches.concepts import ConceptTable
from vlsuite.batches.crops import stacked
from vlsuite.batches.reading import Reading
from vlsuite.batches.sequence import Draw, SampleSequence
from vlsuite.batches.tokenizer import CachedTokenizer, trimmed_length
from vlsuite.batches.transforms import TrainTransform
from vlsuite.errors import DataError

#: How many samples may be tried for one position before the run stops.
MAX_SUBSTITUTES = 100

_MASK = (1 << 64) - 1


class Pair(NamedTuple):
    """One decoded pair."""

    uid: str
    source: int
    pixels: Tensor
    caption: str
    caption_number: int
    identity: str | None
    mended: tuple[str, ...]


class PairDataset(Dataset[Batch]):
    """The training sequence; a list of positions gives one collated batch.

    Everything random about a position (crop, colours, which caption) is drawn from a
    counter-based generator keyed by the seed and the position, so it does not depend on workers,
    prefetching or restarts.

    Args:
        shards: that the sequence draws from.
        sequence: which sample stands where.
        transform: makes the training view.
        tokenizer: captions to ids.
        caption: "random" draws one of a sample's captions, "first" takes the first.
        trim_text: cut token ids after the longest caption of the batch.
        seed: of the run.
        handler: decides about samples that cannot be used.
        reading: told about every position.
        concepts: words for what is in the pictures, by uid.
    """

    def __init__(
        self,
        shards: ShardSet,
        *,
        sequence: SampleSequence,
        transform: TrainTransform,
        tokenizer: CachedTokenizer,
        caption: Literal["first", "random"],
        trim_text: bool,
        seed: int,
        handler: BadInputHandler,
        reading: Reading | None = None,
        concepts: ConceptTable | None = None,
    ) -> None:
        self._shards = shards
        self._sequence = sequence
        self._transform = transform
        self._tokenizer = tokenizer
        self._caption = caption
        self._trim_text = trim_text
        self._seed = seed & _MASK
        self._handler = handler
        self._reading = reading
        self._concepts = concepts

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        """The micro-batch of these positions, in their order.

        Raises:
            DataError: a sample is unusable and the policy is "raise", or too many are.
        """
        skipped: list[Skipped] = []
        pairs = [self._usable(position, skipped) for position in positions]
        token_ids = self._tokenizer([pair.caption for pair in pairs])
        if self._trim_text:
            token_ids = token_ids[:, : trimmed_length(token_ids)].contiguous()
        return Batch(
            images=stacked([pair.pixels for pair in pairs]),
            token_ids=token_ids,
            uids=tuple(pair.uid for pair in pairs),
            sources=tuple(pair.source for pair in pairs),
            caption_numbers=tuple(pair.caption_number for pair in pairs),
            identities=tuple(pair.identity for pair in pairs),
            concepts=() if self._concepts is None else tuple(self._concepts[p.uid] for p in pairs),
            skipped=tuple(skipped),
            mended=tuple(label for pair in pairs for label in pair.mended),
        )

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])

    def _usable(self, position: int, skipped: list[Skipped]) -> Pair:
        """The pair at a position, or its first usable stand-in; every failure is recorded."""
        if self._reading:
            self._reading.begin(position)
        attempts = min(MAX_SUBSTITUTES, self._sequence.max_attempts)
        for attempt in range(attempts):
            found = self._try(self._sequence(position, attempt), position)
            if isinstance(found, Pair):
                if self._reading:
                    self._reading.end()
                return found
            skipped.append(dataclasses.replace(found, stand_in=attempt > 0))
        raise DataError(
            f"{attempts} samples in a row are unusable, the last: {skipped[-1].reason} "
            f"({skipped[-1].shard}); run 'vlsuite data validate' on these shards"
        )

    def _try(self, draw: Draw, position: int) -> Pair | Skipped:
        address = SampleAddress(self._shards.name(draw.shard), draw.row, f"sample {draw.row}")
        members = None
        try:
            index = self._shards[draw.shard]
            address = address._replace(key=index.key(draw.row))
            members = index.read(draw.row)
            return self._decoded(address.key, members, draw.source, position)
        except DataError as error:
            return self._handler.handle(error, address, members)

    def _decoded(self, key: str, members: dict[str, bytes], source: int, position: int) -> Pair:
        captions = read_captions(members)
        rng = np.random.Generator(np.random.Philox(key=[self._seed, position]))
        texts = captions.texts
        pick = int(rng.integers(len(texts))) if self._caption == "random" else 0
        view = self._transform.view(image_of(members).data, rng)
        return Pair(
            uid=uid_of(key, members),
            source=source,
            pixels=view.pixels,
            caption=texts[pick],
            caption_number=pick,
            identity=identity_of(members),
            mended=(*captions.mended, *view.mended),
        )
