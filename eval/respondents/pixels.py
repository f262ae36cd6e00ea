"""Pictures that a task hands over as pixels, for models that take encoded pictures."""

import io
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from eval.respondents.media import BytesMedia
from vlsuite.batches.transforms import to_uint8

#: Longest side of such pictures where none is chosen, pixels.
DEFAULT_SIDE = 448


@dataclass(frozen=True, slots=True)
class Fitted:
    """An ``ImageTransform`` that crops nothing: scaled down until it fits a square, never up.

    Pixels of pictures in one batch are of one size: black fills the square to the right and below,
    and ``as_png`` takes it off again.

    Args:
        side: of the square, pixels.
    """

    side: int = DEFAULT_SIDE

    def __call__(self, image: Image.Image) -> UInt8[Tensor, "3 side side"]:
        """The picture in the upper left corner."""
        if max(image.size) > self.side:
            image = image.copy()
            image.thumbnail((self.side, self.side), Image.Resampling.LANCZOS)
        return F.pad(to_uint8(image), (0, self.side - image.width, 0, self.side - image.height))


def as_png(pixels: UInt8[Tensor, "3 height width"], *, name: str) -> BytesMedia:
    """PNG without black columns at the right and black rows below; all black stays as it is.

    Args:
        pixels: in [0, 255].
        name: for messages.
    """
    shown = pixels.cpu()
    is_lit = shown.amax(dim=0) > 0
    if is_lit.any():
        height = int(torch.nonzero(is_lit.any(dim=1)).max()) + 1
        width = int(torch.nonzero(is_lit.any(dim=0)).max()) + 1
        shown = shown[:, :height, :width]
    out = io.BytesIO()
    Image.fromarray(shown.movedim(0, -1).numpy()).save(out, "PNG", compress_level=1)
    return BytesMedia(name, out.getvalue())
