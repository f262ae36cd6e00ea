"""Image-text pairs of many shards by global number, decoded into batches in worker processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data_pipelines.shards.index import ShardIndex
from data_pipelines.shards.pairs import captions_of, image_of, uid_of
from vlsuite.batches.batch import Batch, Skipped
from vlsuite.batches.decode import decode_image
from vlsuite.batches.tokenizer import CachedTokenizer, trimmed_length
from vlsuite.batches.transforms import TrainTransform
from vlsuite.errors import DataError

#: How many neighbours may stand in for one unusable sample before the run stops.
MAX_SUBSTITUTES = 100


class Slot(NamedTuple):
    """A place in the training sequence and the sample that belongs there."""

    position: int
    sample: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageText:
    """One decoded pair."""

    uid: str
    image: Tensor
    caption: str


class PairDataset(Dataset[Batch]):
    """Random access to image-text pairs; a list of slots gives one collated batch.

    Everything random about a slot (crop, colours, which caption) is drawn from a counter-based
    generator keyed by the seed and the slot's position, so it does not depend on workers,
    prefetching or restarts.

    Args:
        shards: in the order that defines the global sample numbers.
        sources: number of the source each shard belongs to.
        transform: makes the training view.
        tokenizer: captions to ids.
        caption: "random" draws one of a sample's captions, "first" takes the first.
        trim_text: cut token ids after the longest caption of the batch.
        seed: of the run.
    """

    def __init__(
        self,
        shards: Sequence[ShardIndex],
        *,
        sources: Sequence[int],
        transform: TrainTransform,
        tokenizer: CachedTokenizer,
        caption: Literal["first", "random"],
        trim_text: bool,
        seed: int,
    ) -> None:
        self._shards = list(shards)
        self._sources = list(sources)
        self._ends = np.cumsum([len(shard) for shard in shards])
        self._transform = transform
        self._tokenizer = tokenizer
        self._caption = caption
        self._trim_text = trim_text
        self._seed = seed

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitems__(self, slots: Sequence[Slot]) -> Batch:
        """The micro-batch of these slots, in their order."""
        skipped: list[Skipped] = []
        pairs = [self._usable(slot, skipped) for slot in slots]
        token_ids = self._tokenizer([pair.caption for pair in pairs])
        if self._trim_text:
            token_ids = token_ids[:, : trimmed_length(token_ids)].contiguous()
        return Batch(
            images=torch.stack([pair.image for pair in pairs]),
            token_ids=token_ids,
            uids=tuple(pair.uid for pair in pairs),
            sources=tuple(self._sources[self._locate(slot.sample)[0]] for slot in slots),
            skipped=tuple(skipped),
        )

    def __getitem__(self, slot: Slot) -> Batch:
        return self.__getitems__([slot])

    def _usable(self, slot: Slot, skipped: list[Skipped]) -> ImageText:
        """The pair of a slot, or the next readable one; every failure is recorded."""
        for offset in range(MAX_SUBSTITUTES):
            shard, row = self._locate((slot.sample + offset) % len(self))
            try:
                return self._load(shard, row, slot.position)
            except DataError as error:
                index = self._shards[shard]
                skipped.append(
                    Skipped(uid=index.key(row), shard=index.path.name, reason=str(error))
                )
        raise DataError(
            f"{MAX_SUBSTITUTES} samples in a row are unusable, the last: {skipped[-1].reason} "
            f"({skipped[-1].shard}); run 'vlsuite data validate' on these shards"
        )

    def _load(self, shard: int, row: int, position: int) -> ImageText:
        index = self._shards[shard]
        members = index.read(row)
        captions = captions_of(members, one_per_line=False)
        if not captions:
            raise DataError("no caption (txt member, or captions in json)")
        rng = np.random.Generator(np.random.Philox(key=[self._seed, position]))
        pick = int(rng.integers(len(captions))) if self._caption == "random" else 0
        image = decode_image(image_of(members).data, shrink_to=self._decode_size())
        return ImageText(
            uid=uid_of(index.key(row), members),
            image=self._transform(image, rng),
            caption=captions[pick],
        )

    def _decode_size(self) -> int:
        """Smallest side that keeps at least one decoded pixel per output pixel of any crop."""
        share = self._transform.config.crop_scale[0] ** 0.5
        return int(max(self._transform.size) / share) + 1

    def _locate(self, sample: int) -> tuple[int, int]:
        shard = int(np.searchsorted(self._ends, sample, side="right"))
        start = int(self._ends[shard - 1]) if shard else 0
        return shard, sample - start
