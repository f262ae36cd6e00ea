"""Cosines of images to classes, a slice of images at a time."""

from collections.abc import Iterator
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from eval.metrics.ranking import SCORES_AT_A_TIME, score_slices


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
    for first, cosines in score_slices(image_embeds, class_embeds, scores_at_a_time):
        yield CosineSlice(first, cosines)
