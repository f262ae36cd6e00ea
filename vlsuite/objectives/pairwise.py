"""Objectives written as a loss for each pair, over all similarities of the global batch.

``clip`` and ``siglip`` compute their own gradients tile by tile. The objectives here need more of
a row than sums (its hardest entry, soft targets, a weight for each pair), so autograd
differentiates them, and a rank holds its images against all texts and its texts against all
images: two blocks [b, B] in fp32, and a few more of that size in backward. At b = 1,024 and
B = 32,768 a block has 128 MiB.

b = this rank's pairs, B = global pairs
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from vlsuite.objectives import gather
from vlsuite.objectives.contrastive import ContrastiveObjective
from vlsuite.objectives.joint import global_mean
from vlsuite.objectives.objective import Losses, check_pairs
from vlsuite.objectives.pair_keys import PairKeys, same_identity


class Similarities(NamedTuple):
    """Cosines of this rank's pairs with the global batch.

    Attributes:
        images: entry i, j is the cosine of this rank's image i and text j of all.
        texts: entry i, j is the cosine of this rank's text i and image j of all.
        own: the column of pair i in both.
        is_positive: pairs of one identity; the pair itself always.
    """

    images: Float[Tensor, "batch global_batch"]
    texts: Float[Tensor, "batch global_batch"]
    own: Int64[Tensor, " batch"]
    is_positive: Bool[Tensor, "batch global_batch"]

    @property
    def own_cosines(self) -> Float[Tensor, " batch"]:
        """Cosine of each pair's image and text."""
        return self.images.gather(1, self.own[:, None]).squeeze(1)


class PairLosses(NamedTuple):
    """What an objective says of this rank's pairs.

    Attributes:
        losses: one a pair, in nats; the objective is their mean over the global batch.
        terms: what the log shows besides, one value a pair each.
    """

    losses: Float[Tensor, " batch"]
    terms: dict[str, Float[Tensor, " batch"]]


class PairwiseObjective(ContrastiveObjective):
    """The mean over the global batch of :meth:`pair_losses`.

    Any number of ranks gives the loss and the gradients of one process on the joined batch.

    Args:
        init_logit_scale, max_logit_scale: see ``Objective``.
    """

    def __init__(self, *, init_logit_scale: float, max_logit_scale: float) -> None:
        super().__init__(
            init_logit_scale=init_logit_scale, max_logit_scale=max_logit_scale, tile_size=None
        )

    def shared_scale(self) -> Float[Tensor, " 1"]:
        """The learned multiplier for use in a loss: its gradient is summed over ranks."""
        return gather.replicated(self.log_logit_scale).exp()

    def forward(
        self,
        image_embeds: Float[Tensor, "batch embed_dim"],
        text_embeds: Float[Tensor, "batch embed_dim"],
        keys: PairKeys | None = None,
    ) -> Losses:
        """See :meth:`ContrastiveObjective.forward`."""
        check_pairs(image_embeds, text_embeds)
        with torch.autocast(image_embeds.device.type, enabled=False):
            found = self.pair_losses(*self._scored(image_embeds, text_embeds, keys))
            total = global_mean(found.losses)
        means = {name: global_mean(values.detach()) for name, values in found.terms.items()}
        return Losses(total, means)

    def _scored(
        self, image_embeds: Tensor, text_embeds: Tensor, keys: PairKeys | None
    ) -> tuple[Similarities, PairKeys | None]:
        return similarities(image_embeds, text_embeds, keys), keys

    def pair_losses(self, scores: Similarities, keys: PairKeys | None) -> PairLosses:
        """The loss of each of this rank's pairs, differentiable."""
        raise NotImplementedError


def similarities(
    image_embeds: Float[Tensor, "batch embed_dim"],
    text_embeds: Float[Tensor, "batch embed_dim"],
    keys: PairKeys | None,
) -> Similarities:
    """Cosines of this rank's rows with those of all ranks, in fp32, differentiable.

    Args:
        image_embeds: unit L2 norm.
        text_embeds: unit L2 norm, paired by row.
        keys: None where every pair is an identity of its own.
    """
    images, texts = image_embeds.float(), text_embeds.float()
    all_images, all_texts = gather.gather_rows(images), gather.gather_rows(texts)
    first = gather.rank() * len(images)
    own = torch.arange(first, first + len(images), device=images.device)
    columns = torch.arange(len(all_texts), device=images.device)
    is_positive = columns[None, :] == own[:, None]
    if keys is not None:
        is_positive = is_positive | same_identity(keys.identities)
    return Similarities(images @ all_texts.T, texts @ all_images.T, own, is_positive)
