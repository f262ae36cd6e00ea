"""What wrong pairs look like to the model now: each image with the next pair's text.

A batch holds B - 1 wrong texts for every image, so the losses of wrong pairs cost no forward
pass. Our own device, for ``division``.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from vlsuite.objectives import gather
from vlsuite.objectives.pairwise import Similarities
from vlsuite.objectives.triplet_alignment import TripletAlignment


class MismatchedPairs(NamedTuple):
    """This rank's images, each with the text of the next pair of the global batch.

    Attributes:
        cosines: of image and wrong text.
        image_others: log-sum-exp of scale x cosine of the image with the remaining texts.
        text_others: the same of the wrong text with the remaining images.
    """

    cosines: Float[Tensor, " batch"]
    image_others: Float[Tensor, " batch"]
    text_others: Float[Tensor, " batch"]


@torch.no_grad()
def mismatched_pairs(scores: Similarities, *, scale: float | Tensor) -> MismatchedPairs:
    """Score wrong pairs as if they were own pairs: the right partners are left out of the batch.

    Every rank calls. NaN where the batch is too small (fewer than 3 pairs) or the next pair is of
    the same identity.

    Args:
        scale: multiplier of the cosines in the log-sum-exp.
    """
    count = scores.images.shape[1]
    after, before = (scores.own + 1) % count, (scores.own - 1) % count
    image_others = _others(scores.images, scores, after, scale)
    all_text_others = gather.all_gather_rows(_others(scores.texts, scores, before, scale)[:, None])
    cosines = scores.images.gather(1, after[:, None])
    is_right = scores.is_positive.gather(1, after[:, None])
    return MismatchedPairs(
        cosines.masked_fill(is_right, math.nan).squeeze(1),
        image_others,
        all_text_others[after].squeeze(1),
    )


def mismatched_clip_losses(pairs: MismatchedPairs, *, scale: Tensor) -> Float[Tensor, " batch"]:
    """InfoNCE of wrong pairs, both directions averaged, in nats."""
    own = pairs.cosines * scale
    return (F.softplus(pairs.image_others - own) + F.softplus(pairs.text_others - own)) / 2


def mismatched_alignment_losses(
    pairs: MismatchedPairs, constants: TripletAlignment
) -> Float[Tensor, " batch"]:
    """Triplet alignment loss of wrong pairs; ``pairs`` made with scale 1 / tau."""
    negatives = (pairs.image_others, pairs.text_others)
    parts = [(constants.margin - pairs.cosines + constants.tau * n).clamp(min=0) for n in negatives]
    return parts[0] + parts[1]


def _others(
    cosines: Float[Tensor, "batch global_batch"],
    scores: Similarities,
    partner: Tensor,
    scale: float | Tensor,
) -> Float[Tensor, " batch"]:
    left_out = scores.is_positive.scatter(1, partner[:, None], True)
    found = torch.logsumexp((cosines * scale).masked_fill(left_out, -math.inf), dim=1)
    return torch.where(left_out.all(dim=1), torch.full_like(found, math.nan), found)
