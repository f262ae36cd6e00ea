"""Pairs that look alike but do not belong together, for image-text matching.

For every picture one text of another pair and for every text one picture of another pair are
drawn, the likelier the more similar their embeddings (Li et al. 2021, arXiv 2107.07651, section
3.1; the multinomial draw from softmaxed similarities was read from the public LAVIS code).
Without a process group the batch is this process's; otherwise the pairs of all ranks take part:
what is exchanged has no gradients, since the picture tokens are those of a frozen tower.

b = this rank's pairs, B = those of all ranks, q = queries
"""

from typing import NamedTuple

import torch
import torch.distributed as dist
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor


class Contents(NamedTuple):
    """What pairs consist of, row by row.

    Attributes:
        image_tokens: of the frozen image tower.
        concept_ids: tokens of what is in the picture.
        token_ids: of the caption.
        identities: equal for pictures that show the same.
    """

    image_tokens: Float[Tensor, "batch tokens image_width"]
    concept_ids: Int64[Tensor, "batch concept_length"]
    token_ids: Int64[Tensor, "batch length"]
    identities: Int64[Tensor, " batch"]


class Negatives(NamedTuple):
    """Of this rank's pairs, row by row; where ``has_one`` is False the others mean nothing.

    Attributes:
        image_tokens, concept_ids: of another picture for each text.
        token_ids: another text for each picture.
        has_one: False where all pairs show the same or say the same.
    """

    image_tokens: Float[Tensor, "batch tokens image_width"]
    concept_ids: Int64[Tensor, "batch concept_length"]
    token_ids: Int64[Tensor, "batch length"]
    has_one: Bool[Tensor, " batch"]


@torch.no_grad()
def hard_negatives(
    contents: Contents,
    image_embeds: Float[Tensor, "batch queries embed_dim"],
    text_embeds: Float[Tensor, "batch embed_dim"],
    *,
    scale: float,
    everywhere: bool,
) -> Negatives:
    """Draw one other picture and one other text for each pair, by torch's own generator.

    Pairs of one identity, and pairs with the very same caption, are never each other's negatives.

    Args:
        image_embeds: unit norm; similarities take the best of the queries.
        text_embeds: unit norm.
        scale: multiplier of cosines in the softmax that is drawn from.
        everywhere: draw from the pairs of all ranks; every rank calls. Else from this rank's.
    """
    everything = Contents(*(_gathered(part, everywhere) for part in contents))
    all_images, all_texts = (_gathered(e, everywhere) for e in (image_embeds, text_embeds))
    same_text = (contents.token_ids[:, None] == everything.token_ids[None]).all(dim=2)
    forbidden = same_text | (contents.identities[:, None] == everything.identities[None])
    to_texts = torch.einsum("bqd,td->bqt", image_embeds.float(), all_texts.float()).amax(dim=1)
    to_images = torch.einsum("bd,iqd->bqi", text_embeds.float(), all_images.float()).amax(dim=1)
    text_rows = _drawn(to_texts * scale, forbidden)
    image_rows = _drawn(to_images * scale, forbidden)
    return Negatives(
        everything.image_tokens[image_rows],
        everything.concept_ids[image_rows],
        everything.token_ids[text_rows],
        ~forbidden.all(dim=1),
    )


def _drawn(
    logits: Float[Tensor, "batch others"], forbidden: Bool[Tensor, "batch others"]
) -> Int64[Tensor, " batch"]:
    """One column for each row; any where all are forbidden."""
    hopeless = forbidden.all(dim=1, keepdim=True)
    allowed = logits.masked_fill(forbidden & ~hopeless, -torch.inf)
    return torch.multinomial(allowed.softmax(dim=1), num_samples=1).squeeze(1)


def _gathered(rows: Shaped[Tensor, "batch ..."], everywhere: bool) -> Shaped[Tensor, "all ..."]:
    """Rows of all ranks, without gradients; each rank has as many."""
    if not (everywhere and dist.is_initialized() and dist.get_world_size() > 1):
        return rows
    parts = [torch.empty_like(rows, memory_format=torch.contiguous_format)
             for _ in range(dist.get_world_size())]  # fmt: skip
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)
