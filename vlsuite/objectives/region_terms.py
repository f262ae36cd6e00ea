"""What a detector hands to its objective: predictions, what was wanted, and what each row counts.

p = pictures of the micro-batch, n = rows of one term
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor


class Term(NamedTuple):
    """Rows of one loss.

    Attributes:
        found: what the network says of each row.
        wanted: what it should say.
        weights: what each row counts. With 1 / (rows of its picture x p) the sum over rows is a
            mean over pictures, so that micro-batches and processes average to the same; 0 for a
            row that only keeps every weight of the network in the graph.
    """

    found: Float[Tensor, "n ..."]
    wanted: Tensor
    weights: Float[Tensor, " n"]


class RegionTerms(NamedTuple):
    """All that the loss of a detector is made of; None: its mode has no such term.

    Attributes:
        objectness: logits of anchors; 1 for an object, 0 for none.
        anchor_deltas: box offsets of the positive anchors.
        box_deltas: box offsets of the positive regions.
        masks: logits [n, s, s] of the positive regions; 1 inside the object.
        classes: logits [n, 1 + C] of the regions, background first; 0, or 1 + row of the
            vocabulary.
        distilled: unit vectors [n, D] of the cached regions; the teacher's.
    """

    objectness: Term
    anchor_deltas: Term
    box_deltas: Term
    masks: Term | None = None
    classes: Term | None = None
    distilled: Term | None = None


def row_weights(
    pictures: Int64[Tensor, " n"], *, num_pictures: int, counts: Int64[Tensor, " p"] | None = None
) -> Float[Tensor, " n"]:
    """Weights of ``Term`` for a mean over pictures of means over their rows.

    Args:
        pictures: that each row belongs to.
        num_pictures: p, also those without a row.
        counts: what the rows of each picture are divided by; None: their number.
    """
    if counts is None:
        counts = torch.bincount(pictures, minlength=num_pictures)
    return 1.0 / (counts[pictures].clamp(min=1).float() * num_pictures)
