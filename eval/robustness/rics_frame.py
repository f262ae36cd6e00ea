"""Frames that RICS chooses: the crop is found on the pixels that move, then resized."""

from dataclasses import dataclass
from itertools import count

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.errors import BadSampleError
from eval.data.raw_image import RawImage
from eval.data.views import ImageTransform
from eval.robustness.rics import SMALLEST_CROP, rics_crops
from eval.robustness.window_frames import FREE, input_side, moved, resized_for_shifts
from vlsuite.batches.transforms import to_uint8


@dataclass(frozen=True, slots=True)
class RicsCrop:
    """The crop that the picture's own pixels choose, through the model's own transform.

    The crop is a square of the shorter side divided by ``side``, chosen from the whole picture on
    the grid of its own pixels. Both happen before any resize, so a camera that moved by whole
    pixels finds the same crop with the same pixels, unless the choice itself changed.

    Args:
        side: shorter side of the picture as a multiple of the crop's, above 1.
        down, right: by how many pixels the picture is moved beforehand, -1 to 1.
        zoom: None for the original. Else the picture was first resized until its shorter side is
            ``side`` times the model's input, plus so many pixels, and its pixels are the grid.
    """

    side: float
    down: int = 0
    right: int = 0
    zoom: int | None = None

    @property
    def key(self) -> str:
        """See ``Frame``."""
        grid = "original" if self.zoom is None else f"resized{self.zoom:+d}"
        return f"rics{self.side:g} {grid}{self.down:+d}{self.right:+d}"

    def __call__(
        self, picture: RawImage, transform: ImageTransform
    ) -> UInt8[Tensor, "3 height width"]:
        """See ``Frame``.

        Raises:
            BadSampleError: the crop would be too small for a choice.
        """
        source = picture.rgb
        if self.zoom is not None:
            window = round(self.side * input_side(transform))
            source = resized_for_shifts(moved(source, 0, 0), window, zoom=self.zoom)
        return transform(chosen_crop(moved(source, self.down, self.right), self.side))


def chosen_crop(image: Image.Image, side: float) -> Image.Image:
    """The square of the shorter side divided by ``side`` that RICS chooses from the picture.

    Args:
        image: without the outermost pixels, which a movement needs.
        side: its shorter side as a multiple of the crop's.

    Raises:
        BadSampleError: it would have fewer than 10 pixels a side.
    """
    crop_size = round(min(image.size) / side)
    if crop_size < SMALLEST_CROP:
        raise BadSampleError(
            "too small",
            f"{image.width + 2 * FREE} x {image.height + 2 * FREE} pixels; the task translation "
            f"needs {smallest_picture(side)} a side at translation.rics_side={side:g}: give larger "
            "pictures, a smaller rics_side, or leave the task out with --task",
        )
    corners = rics_crops(to_uint8(image)[None], crop_size=crop_size).corners
    top, left = corners[0].tolist()
    return image.crop((left, top, left + crop_size, top + crop_size))


def smallest_picture(side: float) -> int:
    """Pixels of the shortest side that a picture must have, its outermost ones included."""
    return next(s for s in count(2 * FREE + 1) if round((s - 2 * FREE) / side) >= SMALLEST_CROP)
