"""From scored class-agnostic boxes to the detections of a picture.

torchvision's own expects one box a class. Here a region has one box, whatever its name.

n = regions, C = names, k = detections
"""

from typing import NamedTuple

import torch
from einops import rearrange
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import clip_boxes_to_image
from torchvision.ops import nms as nms_of

#: Sides of a detection in pixels, at least; torchvision's.
SMALLEST = 1e-2


class Kept(NamedTuple):
    """Detections, best first.

    Attributes:
        boxes: left, top, right, bottom in pixels.
        scores: descending.
        labels: column of the scores.
        regions: row of the regions that each came from.
    """

    boxes: Float[Tensor, "k 4"]
    scores: Float[Tensor, " k"]
    labels: Int64[Tensor, " k"]
    regions: Int64[Tensor, " k"]


def best_detections(
    boxes: Float[Tensor, "n 4"],
    scores: Float[Tensor, "n C"],
    *,
    size: tuple[int, int],
    score_threshold: float,
    nms: float,
    max_detections: int,
) -> Kept:
    """The best after NMS name by name: every region may have several names.

    NMS is greedy from the best score down, so what survives of the best scores does not depend on
    the others. Scores are looked at from the best on until enough survive; the result is that of
    NMS over all.

    Args:
        boxes: in pixels; clipped to the picture here.
        size: height and width of the picture in pixels.
        score_threshold: scores must be above.
        nms: IoU above which the worse of two boxes of one name goes.
        max_detections: kept at most.
    """
    boxes = clip_boxes_to_image(boxes.float(), size)
    sides = boxes[:, 2:] - boxes[:, :2]
    usable = (sides >= SMALLEST).all(dim=1)[:, None] & (scores > score_threshold)
    flat = rearrange(scores, "n c -> (n c)")
    rows = rearrange(usable, "n c -> (n c)").nonzero()[:, 0]
    order = rows[flat[rows].argsort(descending=True, stable=True)]
    looked_at = min(len(order), 4 * max_detections)
    apart = 2.0 * max(size) * torch.arange(scores.shape[1], device=boxes.device)
    while True:
        part = order[:looked_at]
        regions, labels = part // max(1, scores.shape[1]), part % max(1, scores.shape[1])
        # One call for all names, each on a plane of its own (fp64: far planes round nothing).
        # torchvision's batched_nms makes a call a name, which takes longer than the network does.
        shifted = boxes[regions].double() + apart[labels, None].double()
        kept = nms_of(shifted, _descending(len(part), shifted), nms)
        if len(kept) >= max_detections or looked_at == len(order):
            break
        looked_at = min(len(order), 4 * looked_at)
    kept = kept[:max_detections]
    return Kept(boxes[regions[kept]], flat[part[kept]].float(), labels[kept], regions[kept])


def _descending(count: int, like: Tensor) -> Tensor:
    """Stands for scores that are sorted already: ties keep their order, fp64 its differences."""
    return torch.arange(count, 0, -1, device=like.device, dtype=like.dtype)
