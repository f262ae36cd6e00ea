"""Softmax cross-entropy whose target shares some probability among the other pairs."""

import torch
from jaxtyping import Float
from torch import Tensor

from vlsuite.objectives.pairwise import Similarities


def soft_target_losses(
    scores: Similarities,
    omega: Float[Tensor, " batch"],
    logit_scale: Float[Tensor, " 1"],
) -> Float[Tensor, " batch"]:
    """Cross-entropy with targets y_ii = 1 - omega_i and y_ij = omega_i / (B - 1), both directions.

    With p the softmax of a row of logits l = s cos, a pair's loss is -sum_j y_ij log p_ij,
    averaged over its image's row and its text's row. omega = 0 is InfoNCE; a constant omega is
    label smoothing that leaves the own pair 1 - omega (Szegedy et al. 2016, arXiv 1512.00567,
    section 7, spread omega over all B entries, the own one included). The smallest loss has an
    own logit log[(1 - omega)(B - 1) / omega] above the others, which is finite.

    Args:
        omega: share taken from the own pair, [0, 1); of no effect where B = 1.
        logit_scale: the multiplier itself.
    Returns:
        Nats a pair.
    """
    count = scores.images.shape[1]
    elsewhere = omega / max(1, count - 1)
    losses = []
    for cosines in (scores.images, scores.texts):
        log_p = torch.log_softmax(cosines * logit_scale, dim=1)
        own = log_p.gather(1, scores.own[:, None]).squeeze(1)
        others = log_p.sum(dim=1) - own
        losses.append(-(1 - omega) * own - elsewhere * others)
    return (losses[0] + losses[1]) / 2
