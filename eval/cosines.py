"""Cosines of images to classes, a slice of images at a time."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eval.metrics.ranking import SCORES_AT_A_TIME


class CosineSlice(NamedTuple):
    """Some images in order.

    Attributes:
        first: number of the first image.
        cosines: in [-1, 1], on the device of the classes.
    """

    first: int
    cosines: Float[Tensor, "slice classes"]


def cosine_slices(
    image_embeds: Float[Tensor, "images embed_dim"],
    class_embeds: Float[Tensor, "classes embed_dim"],
    *,
    scores_at_a_time: int = SCORES_AT_A_TIME,
) -> Iterator[CosineSlice]:
    """All cosines in full fp32; embeddings may be a map of a file larger than memory.

    Equal classes are multiplied once: a matrix product may round equal columns differently,
    which would turn a tie into an order.

    Args:
        image_embeds: unit L2 norm, on any device.
        class_embeds: unit L2 norm, on the device that computes.
    """
    distinct, number = torch.unique(class_embeds, dim=0, return_inverse=True)
    has_equals = len(distinct) < len(class_embeds)
    factors = distinct if has_equals else class_embeds
    step = max(1, scores_at_a_time // len(class_embeds))
    for first in range(0, len(image_embeds), step):
        part = image_embeds[first : first + step].to(class_embeds.device)
        allowed = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            cosines = part @ factors.T
        finally:
            torch.backends.cuda.matmul.allow_tf32 = allowed
        yield CosineSlice(first, cosines[:, number] if has_equals else cosines)
