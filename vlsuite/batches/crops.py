"""Random boxes of a picture, cut out and resized."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

#: Decoding at 5/8, 6/8 or 7/8 takes longer than at full size (no vector code in libjpeg-turbo).
SHRINKS = (8, 4, 2, 1)


class Box(NamedTuple):
    """Whole pixels; ``right`` and ``bottom`` are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bottom - self.top

    def shrunk(self, shrink: int) -> "Box":
        """The smallest box of a picture ``shrink`` times smaller that holds this one."""
        return Box(
            self.left // shrink,
            self.top // shrink,
            -(-self.right // shrink),
            -(-self.bottom // shrink),
        )


def crop_box(
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    scale: tuple[float, ...],
    ratio: tuple[float, ...],
) -> Box:
    """A random box, as torchvision's RandomResizedCrop draws.

    Ten tries at an area share uniform in ``scale`` and a log-uniform width over height in
    ``ratio``; if none fits, the largest central box within ``ratio``.

    Args:
        size: (width, height) of the picture in pixels.
    """
    width, height = size
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(10):
        # One call for all four numbers: a call costs more than a number.
        share, slant, x, y = rng.random(4).tolist()
        area = width * height * (scale[0] + share * (scale[1] - scale[0]))
        aspect = math.exp(low + slant * (high - low))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(x * (width - w + 1)), int(y * (height - h + 1))
            return Box(left, top, left + w, top + h)
    aspect = min(max(width / height, ratio[0]), ratio[1])
    w = min(width, max(1, round(height * aspect)))
    h = min(height, max(1, round(width / aspect)))
    left, top = (width - w) // 2, (height - h) // 2
    return Box(left, top, left + w, top + h)


def largest_shrink(box: Box, size: tuple[int, int]) -> int:
    """How many times smaller a box may be decoded with a pixel left for each of the result.

    Args:
        size: (height, width) of the result in pixels.
    """
    height, width = size
    fits = (s for s in SHRINKS if box.width >= s * width and box.height >= s * height)
    return next(fits, 1)


def resized_crop(
    pixels: UInt8[np.ndarray, "rows columns 3"],
    box: Box,
    *,
    size: tuple[int, int],
    interpolation: str,
) -> UInt8[Tensor, "3 height width"]:
    """Cut a box out and resize it with an antialiasing filter, as Pillow's crop and resize.

    Differs from Pillow 13 by at most 2 levels of 255 (tests/parity/test_batches_pixels.py):
    torch rounds the weights to 16 bits, and each of the two passes to whole levels.

    Args:
        box: inside the picture.
        size: (height, width) of the result in pixels.
        interpolation: "bicubic" or "bilinear".
    Returns:
        A tensor of its own, channels last in memory (strides 1 for colours, 3 for columns).
    """
    crop = np.ascontiguousarray(pixels[box.top : box.bottom, box.left : box.right])
    # A batch of one with the channels last in memory: torch has the fastest code for it.
    image = torch.from_numpy(crop).unsqueeze(0).permute(0, 3, 1, 2)
    if _rows_first(box, size):
        image = _resized(image, (size[0], box.width), interpolation)
    return _resized(image, size, interpolation)[0]


def stacked(views: Sequence[Tensor]) -> UInt8[Tensor, "batch 3 height width"]:
    """A batch that keeps the channels last in memory, as the views have them.

    Reordering costs a twelfth of the whole loading time on the CPU; ``normalise`` does it on the
    device.
    """
    return torch.stack([view.permute(1, 2, 0) for view in views]).permute(0, 3, 1, 2)


def _rows_first(box: Box, size: tuple[int, int]) -> bool:
    """Whether Pillow 13 resizes the rows before the columns (found by trying 3,000 sizes).

    The order shows where the first pass overshoots and is clipped.
    """
    height, width = size
    return box.height > height and box.height - height > 2 * (box.width - width)


def _resized(image: Tensor, size: tuple[int, int], interpolation: str) -> Tensor:
    return torch.nn.functional.interpolate(image, size=size, mode=interpolation, antialias=True)
