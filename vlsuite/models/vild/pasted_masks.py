"""Masks of boxes, laid into their picture and kept as run lengths."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from data_pipelines.detection.masks import rle_of_pixels
from vlsuite.models.detections import MaskRle

_INSIDE = 0.5
_AT_A_TIME = 32


def pasted_masks(
    masks: Float[Tensor, "n cells cells"], boxes: Float[Tensor, "n 4"], size: tuple[int, int]
) -> list[MaskRle]:
    """COCO's run lengths of each mask, by torchvision's pasting.

    Args:
        masks: probabilities of the cells of a box.
        boxes: in pixels of the picture.
        size: height and width of the picture in pixels.
    """
    found: list[MaskRle] = []
    for first in range(0, len(boxes), _AT_A_TIME):
        part = slice(first, first + _AT_A_TIME)
        pasted = paste_masks_in_image(masks[part, None].float(), boxes[part].float(), size)
        for pixels in torch.gt(pasted[:, 0], _INSIDE).numpy():
            rle = rle_of_pixels(pixels)
            found.append(MaskRle(size=[rle.height, rle.width], counts=rle.counts))
    return found
