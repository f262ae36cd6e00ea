"""Which anchors and regions a picture's losses are taken from.

Everything is drawn by the picture's own seed, on the CPU, so that neither the other pictures of a
batch nor the number of processes changes it.

n = boxes, g = marked objects
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

#: Share of the regions that are positive, where there are as many (Girshick 2015, section 2.3).
POSITIVE_SHARE = 0.25
#: A box with this share of its area in a crowd is no background.
_IN_CROWD = 0.5


class Sampled(NamedTuple):
    """Regions of one picture.

    Attributes:
        boxes: in pixels.
        classes: 0 for background, else 1 + label.
        matched: row of the marked objects; 0 for background.
    """

    boxes: Float[Tensor, "n 4"]
    classes: Int64[Tensor, " n"]
    matched: Int64[Tensor, " n"]


def generator_of(seed: int, part: int) -> torch.Generator:
    """Draws of one part of the network for one picture."""
    return torch.Generator().manual_seed((seed * 3 + part) % 2**63)


def sample_regions(
    proposals: Float[Tensor, "n 4"],
    boxes: Float[Tensor, "g 4"],
    labels: Int64[Tensor, " g"],
    crowds: Float[Tensor, "crowds 4"],
    *,
    count: int,
    iou: float,
    generator: torch.Generator,
) -> Sampled:
    """Some positive and some background regions; the marked boxes are among the candidates.

    Args:
        count: regions at most.
        iou: with a marked box from which a region is positive.
    """
    candidates = torch.cat([proposals, boxes])
    matches = Matcher(iou, iou, allow_low_quality_matches=False)
    matched = torch.full((len(candidates),), -1, dtype=torch.int64, device=candidates.device)
    if len(boxes) and len(candidates):
        matched = matches(box_iou(boxes, candidates))
    is_background = (matched < 0) & ~in_crowd(candidates, crowds)
    chosen = balanced(matched >= 0, is_background, count=count, generator=generator)
    found = matched[chosen]
    classes = torch.zeros_like(found)
    if len(boxes):
        classes = torch.where(found >= 0, 1 + labels[found.clamp(min=0)], 0)
    return Sampled(candidates[chosen], classes, found.clamp(min=0))


def balanced(
    is_positive: Bool[Tensor, " n"],
    is_negative: Bool[Tensor, " n"],
    *,
    count: int,
    generator: torch.Generator,
    positive_share: float = POSITIVE_SHARE,
) -> Int64[Tensor, " chosen"]:
    """Rows of a random sample: positives up to their share, negatives for the rest."""
    positive = _drawn(is_positive, int(count * positive_share), generator)
    negative = _drawn(is_negative, count - len(positive), generator)
    return torch.cat([positive, negative])


def in_crowd(boxes: Float[Tensor, "n 4"], crowds: Float[Tensor, "crowds 4"]) -> Bool[Tensor, " n"]:
    """Boxes that lie in a crowd for half of their area or more."""
    if not len(crowds):
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    low = torch.maximum(boxes[:, None, :2], crowds[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], crowds[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(dim=2)
    areas = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(dim=1)
    return (shared / areas.clamp(min=1e-6)[:, None] >= _IN_CROWD).any(dim=1)


def _drawn(
    is_there: Bool[Tensor, " n"], count: int, generator: torch.Generator
) -> Int64[Tensor, " chosen"]:
    rows = is_there.nonzero()[:, 0]
    order = torch.randperm(len(rows), generator=generator)[:count]
    return rows[order.to(rows.device)]
