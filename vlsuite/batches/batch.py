"""What one forward pass gets."""

from dataclasses import dataclass, field, replace

from jaxtyping import Int, UInt8
from torch import Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """One sample that could not be used, and why; another stands in its place.

    ``kind`` is the same for all like cases, for counting. ``stand_in`` marks one that was tried in
    place of another: it has a place of its own elsewhere in the epoch, where it is counted.
    """

    uid: str
    shard: str
    kind: str
    reason: str
    stand_in: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One micro-batch of this process: row i of images belongs to row i of token_ids.

    Attributes:
        images: 0 to 255, not normalised.
        token_ids: cut after the longest caption of the batch where the model allows it.
        uids: permanent ids, by row.
        sources: position of each sample's source in the config, by row.
        caption_numbers: which of its sample's captions each row has.
        identities: who or what the picture shows, where the sample's json has an "identity".
        concepts: words for what is in each picture, by row; empty without data.concepts.
        skipped: samples that were replaced while this batch was made.
        mended: one entry for each thing about its samples that was put right while reading
            ("EXIF rotation", "caption not UTF-8"), for counting.
    """

    images: UInt8[Tensor, "batch 3 height width"]
    token_ids: Int[Tensor, "batch length"]
    uids: tuple[str, ...]
    sources: tuple[int, ...]
    caption_numbers: tuple[int, ...]
    identities: tuple[str | None, ...]
    concepts: tuple[tuple[str, ...], ...] = field(default=())
    skipped: tuple[Skipped, ...] = field(default=())
    mended: tuple[str, ...] = field(default=())

    @property
    def unusable(self) -> tuple[Skipped, ...]:
        """Skipped samples at their own places: each once an epoch."""
        return tuple(skip for skip in self.skipped if not skip.stand_in)

    def __len__(self) -> int:
        return len(self.uids)

    def pin_memory(self) -> "Batch":
        """Page-locked tensors, so that copies to the device overlap with compute."""
        return replace(self, images=self.images.pin_memory(), token_ids=self.token_ids.pin_memory())
