"""How regions are cut out of a picture for the teacher.

The digest of this file and of ``vlsuite.batches.crops``, which resizes, is part of what a cache of
embeddings was made with: a cache made by other code is refused. DetPro's ViLD came out at half the accuracy with another crop.

m = regions
"""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from vlsuite.batches import crops as resizing
from vlsuite.batches.crops import Box, resized_crop
from vlsuite.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class CropSettings:
    """What of a region the teacher is shown.

    Attributes:
        scales: sides of the crops as multiples of the box's, around its middle; the embeddings are
            added. 1 and 1.5 published.
        form: "squash" resizes a crop to the teacher's square whatever its shape; "pad" keeps its
            shape between gray bars. CLIP's own centre crop would lose the ends of long boxes.
    """

    scales: tuple[float, ...] = (1.0, 1.5)
    form: Literal["squash", "pad"] = "squash"

    def __post_init__(self) -> None:
        if not self.scales or min(self.scales) <= 0:
            raise ConfigError("model.crops.scales: give positive multiples of a box's sides")

    def digest(self) -> str:
        """Of these settings and of the code that obeys them, in hexadecimal."""
        code = Path(__file__).read_bytes() + Path(resizing.__file__).read_bytes()
        return hashlib.sha256(repr((self.scales, self.form)).encode() + code).hexdigest()


def crops_of(
    picture: UInt8[np.ndarray, "rows columns 3"],
    boxes: Float[Tensor, "m 4"],
    settings: CropSettings,
    *,
    size: tuple[int, int],
    interpolation: str,
    fill: int = 114,
) -> UInt8[Tensor, "scales m 3 height width"]:
    """Crops of all regions at all scales, clipped to the picture.

    Args:
        picture: upright, RGB.
        boxes: left, top, right, bottom in pixels.
        size: height and width of a crop in pixels.
        interpolation: "bicubic" or "bilinear".
        fill: gray value beside padded crops.
    """
    rows, columns = picture.shape[:2]
    found = torch.full((len(settings.scales), len(boxes), 3, *size), fill, dtype=torch.uint8)
    for scale_number, scale in enumerate(settings.scales):
        for number, sides in enumerate(boxes.tolist()):
            box = _pixels_of(sides, scale, height=rows, width=columns)
            top, left, inner = _place(box, size, settings.form)
            crop = resized_crop(picture, box, size=inner, interpolation=interpolation)
            view = found[scale_number, number]
            view[:, top : top + inner[0], left : left + inner[1]] = crop
    return found


def _pixels_of(sides: list[float], scale: float, *, height: int, width: int) -> Box:
    """Whole pixels of the scaled box inside the picture, one at least."""
    left, top, right, bottom = sides
    x, y = (left + right) / 2, (top + bottom) / 2
    half_width, half_height = (right - left) * scale / 2, (bottom - top) * scale / 2
    first_column = min(max(0, math.floor(x - half_width)), width - 1)
    first_row = min(max(0, math.floor(y - half_height)), height - 1)
    return Box(
        first_column,
        first_row,
        max(first_column + 1, min(width, math.ceil(x + half_width))),
        max(first_row + 1, min(height, math.ceil(y + half_height))),
    )


def _place(box: Box, size: tuple[int, int], form: str) -> tuple[int, int, tuple[int, int]]:
    """Top and left of the resized crop in its view, and its height and width."""
    height, width = size
    if form == "squash":
        return 0, 0, size
    share = min(height / box.height, width / box.width)
    inner = max(1, round(box.height * share)), max(1, round(box.width * share))
    inner = min(inner[0], height), min(inner[1], width)
    return (height - inner[0]) // 2, (width - inner[1]) // 2, inner
