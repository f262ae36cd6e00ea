"""Pictures of any size as a detector is shown them: resized, padded to a few sizes.

b = pictures
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from vlsuite.batches.detections import without_padding
from vlsuite.batches.transforms import pixels_for

#: Sides are padded to this share of the longest side, so that few sizes occur.
_BUCKETS = 4
_MULTIPLE = 32  # pixels; the trunks halve five times


class PictureBatch(NamedTuple):
    """Pictures of one padded size.

    Attributes:
        rows: of each in what was given.
        pixels: normalised, 0 where they are padded.
        sizes: height and width of each in these pixels.
        shares: width and height here over those of the picture as given.
    """

    rows: list[int]
    pixels: Float[Tensor, "b 3 height width"]
    sizes: list[tuple[int, int]]
    shares: list[tuple[float, float]]


def picture_batches(
    images: Sequence[UInt8[Tensor, "3 _rows _columns"]],
    *,
    longest: int,
    preprocess: dict,
    batch_size: int,
    device: torch.device,
    dtype: torch.dtype,
) -> list[PictureBatch]:
    """All pictures, those of one padded size together.

    A picture's size depends on itself alone, so what else is asked changes no detection.

    Args:
        longest: side in pixels that the longer side of each picture is resized to.
        batch_size: pictures at a time.
    """
    by_size: dict[tuple[int, int], list[int]] = {}
    for row, image in enumerate(images):
        size = _resized_size((image.shape[1], image.shape[2]), longest)
        by_size.setdefault(_bucket(size, longest), []).append(row)
    found = []
    for bucket, rows in sorted(by_size.items()):
        for first in range(0, len(rows), batch_size):
            part = rows[first : first + batch_size]
            found.append(_batch(images, part, bucket, longest, preprocess, device, dtype))
    return found


def _batch(
    images: Sequence[Tensor],
    rows: list[int],
    bucket: tuple[int, int],
    longest: int,
    preprocess: dict,
    device: torch.device,
    dtype: torch.dtype,
) -> PictureBatch:
    stacked = torch.zeros(len(rows), 3, *bucket, dtype=torch.uint8)
    sizes, shares = [], []
    for place, row in enumerate(rows):
        image = images[row].cpu()
        height, width = _resized_size((image.shape[1], image.shape[2]), longest)
        resized = image
        if (height, width) != tuple(image.shape[1:]):
            resized = F.interpolate(
                image[None], size=(height, width), mode="bilinear", antialias=True
            )[0]
        stacked[place, :, :height, :width] = resized
        sizes.append((height, width))
        shares.append((width / image.shape[2], height / image.shape[1]))
    pixels = pixels_for(stacked, preprocess, device=device, dtype=dtype)
    return PictureBatch(rows, without_padding(pixels, tuple(sizes)), sizes, shares)


def _resized_size(size: tuple[int, int], longest: int) -> tuple[int, int]:
    share = longest / max(size)
    return max(1, round(size[0] * share)), max(1, round(size[1] * share))


def bucket_step(longest: int) -> int:
    """Sides of padded pictures are multiples of this, in pixels."""
    return max(_MULTIPLE, longest // _BUCKETS // _MULTIPLE * _MULTIPLE)


def _bucket(size: tuple[int, int], longest: int) -> tuple[int, int]:
    step = bucket_step(longest)
    height, width = (-(-side // step) * step for side in size)
    return height, width
