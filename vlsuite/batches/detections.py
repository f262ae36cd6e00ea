"""Batches of pictures with boxes: what detectors are trained on."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Float32, Int64, UInt8
from torch import Tensor

from vlsuite.batches.batch import Batch
from vlsuite.batches.transforms import pixels_for


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectionBatch(Batch):
    """Pictures padded to one size; boxes and regions stand one picture after the other.

    Attributes:
        images: 0 to 255, not normalised; a picture stands in the upper left corner.
        sizes: height and width of each picture in pixels.
        boxes: left, top, right, bottom in pixels.
        labels: rows of the training vocabulary.
        num_boxes: of each picture.
        masks: 1 inside the object, for each box; empty for objects without; None where none are
            read.
        crowds: boxes of groups that were not taken apart.
        num_crowds: of each picture.
        regions: cached regions of the teacher that lie in the view, in pixels.
        region_embeds: theirs, unit norm.
        num_regions: of each picture.
        seeds: of what is drawn for each picture in training.
    """

    images: UInt8[Tensor, "batch 3 height width"]
    sizes: tuple[tuple[int, int], ...]
    boxes: Float32[Tensor, "total_boxes 4"]
    labels: Int64[Tensor, " total_boxes"]
    num_boxes: tuple[int, ...]
    masks: UInt8[Tensor, "total_boxes height width"] | None
    crowds: Float32[Tensor, "total_crowds 4"]
    num_crowds: tuple[int, ...]
    regions: Float32[Tensor, "total_regions 4"]
    region_embeds: Float[Tensor, "total_regions embed_dim"]
    num_regions: tuple[int, ...]
    seeds: tuple[int, ...]

    def pixels(
        self, preprocess: dict[str, Any], *, device: torch.device, dtype: torch.dtype
    ) -> Float[Tensor, "batch 3 height width"]:
        """The pictures on a device, normalised by mean and std; 0 where they are padded."""
        pixels = pixels_for(self.images, preprocess, device=device, dtype=dtype)
        return without_padding(pixels, self.sizes)


def without_padding(
    pixels: Float[Tensor, "batch 3 height width"], sizes: tuple[tuple[int, int], ...]
) -> Float[Tensor, "batch 3 height width"]:
    """The same with 0 outside each picture."""
    for row, (height, width) in enumerate(sizes):
        pixels[row, :, height:] = 0
        pixels[row, :, :, width:] = 0
    return pixels
