"""What batches of pictures and of clips share: one caption each."""

from dataclasses import dataclass

from jaxtyping import Int
from torch import Tensor

from vlsuite.batches.batch import Batch


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionedBatch(Batch):
    """Row i of token_ids belongs to sample i.

    Attributes:
        token_ids: cut after the longest caption of the batch where the model allows it.
        caption_numbers: which of its sample's captions each row has.
        identities: who or what the sample shows, where its json has an "identity".
    """

    token_ids: Int[Tensor, "batch length"]
    caption_numbers: tuple[int, ...]
    identities: tuple[str | None, ...]
