"""Between bytes and intensities, with the rounding of the published pictures."""

from pathlib import Path
from typing import NamedTuple

from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from eval.corruptions.severities import ConstantSet

#: What every corruption takes and gives.
Images = UInt8[Tensor, "batch 3 height width"]


class DrawContext(NamedTuple):
    """What draws depend on besides the strength of a corruption.

    Attributes:
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.
        constants: the set that strengths are taken from.
        frost_dir: folder of the original frost pictures; None for our own.
    """

    height: int
    width: int
    constants: ConstantSet = "imagenet-c"
    frost_dir: Path | None = None


def intensities(images: Images) -> Float32[Tensor, "batch 3 height width"]:
    """Bytes as float32 on [0, 1]."""
    return images.float().div_(255)


def to_bytes(values: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Intensities, clipped to [0, 1], as bytes; overwrites ``values``.

    Cuts off the fraction instead of rounding, as ``numpy.uint8`` does in the scripts that made
    the published pictures: a value of 254.9 becomes 254.
    """
    return values.clamp_(0, 1).mul_(255).byte()
