"""Triplet alignment loss (TAL) of RDE, in a form that is finite for every temperature."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vlsuite.objectives.pairwise import Similarities


class TripletAlignment(NamedTuple):
    """The constants of the loss.

    Attributes:
        margin: m; 0.1 in the paper.
        tau: temperature of both softmaxes; 0.015 in the paper.
        reference_batch: where not None, the log-sum-exp is corrected by tau log((B0 - 1) / (B - 1))
            to what it would be at this batch size if all negatives were equal. It grows with the
            batch otherwise: by up to tau log(B - 1) above the hardest negative, 0.062 at B = 64
            and 0.125 at 4,096, more than the margin. Our addition.
    """

    margin: float = 0.1
    tau: float = 0.015
    reference_batch: int | None = None


def triplet_alignment_losses(
    scores: Similarities, constants: TripletAlignment
) -> Float[Tensor, " batch"]:
    """RDE's loss of each pair, over its image's texts plus over its text's images.

    Qin et al. 2024 (CVPR, "Noisy-Correspondence Learning for Text-to-Image Person
    Re-identification"), equation 5: with positives P of one identity and negatives N, a row gives
    [m - sum_{j in P} a_j S_ij + tau log sum_{j in N} exp(S_ij / tau)]+, with a the softmax of
    S / tau over P, not differentiated. It bounds the hardest-negative triplet loss from above
    and becomes it for tau to 0.

    Departure from the authors' code (QinYang79/RDE, model/objectives.py), our own: it
    exponentiates S / tau as it is, which overflows fp32 at tau = 0.01 from a cosine of 0.888 on;
    here the entries that do not belong to a sum are set to -inf before a log-sum-exp that
    subtracts the largest, in fp32 or wider. A row without negatives has no loss and no gradient.

    Args:
        scores: any floating type; bf16 is computed as fp32.
    Returns:
        One loss a pair, in units of cosine, at least 0.
    """
    precise = scores if scores.images.dtype == torch.float64 else _to_float(scores)
    losses = _direction(precise.images, precise.is_positive, constants)
    return losses + _direction(precise.texts, precise.is_positive, constants)


def _direction(
    cosines: Float[Tensor, "batch global_batch"],
    is_positive: Bool[Tensor, "batch global_batch"],
    constants: TripletAlignment,
) -> Float[Tensor, " batch"]:
    margin, tau, reference_batch = constants
    has_negative = ~is_positive.all(dim=1)
    # The inputs of rows without negatives are replaced, not their results: the gradient of a
    # log-sum-exp over nothing is NaN, and NaN times zero stays NaN.
    is_negative = ~is_positive | ~has_negative[:, None]
    alpha = torch.softmax((cosines / tau).masked_fill(~is_positive, -math.inf), dim=1).detach()
    positive = (alpha * cosines).sum(dim=1)
    negative = tau * torch.logsumexp((cosines / tau).masked_fill(~is_negative, -math.inf), dim=1)
    if reference_batch is not None:
        negative = negative + tau * math.log(
            max(1, reference_batch - 1) / max(1, cosines.shape[1] - 1)
        )
    losses = (margin - positive + negative).clamp(min=0)
    return torch.where(has_negative, losses, torch.zeros_like(losses))


def _to_float(scores: Similarities) -> Similarities:
    return scores._replace(images=scores.images.float(), texts=scores.texts.float())
