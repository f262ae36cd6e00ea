"""Which images are right, from embeddings that may be a map of a file larger than memory."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from eval.metrics.ranking import places_of_targets

_IMAGES_AT_A_TIME = 2**16


def top1_hits(
    embeds: Float[Tensor, "images embed_dim"],
    prototypes: Float[Tensor, "classes embed_dim"],
    labels: Int64[np.ndarray, " images"],
    *,
    device: torch.device | str,
) -> Bool[np.ndarray, " images"]:
    """Whether each image is nearest to its own class; ties go to the lower class.

    Args:
        embeds: unit L2 norm, on the CPU.
        prototypes: unit L2 norm.
        labels: class of each image.
        device: where the cosines are computed.
    """
    prototypes = prototypes.to(device)
    targets = torch.from_numpy(labels)
    hits: list[np.ndarray] = []
    for start in range(0, len(embeds), _IMAGES_AT_A_TIME):
        span = slice(start, start + _IMAGES_AT_A_TIME)
        places = places_of_targets(embeds[span].to(device), prototypes, targets[span].to(device))
        hits.append((places < 1).cpu().numpy())
    return np.concatenate(hits) if hits else np.zeros(0, dtype=bool)
