"""Frames for small, realistic changes of view: the camera moved or zoomed by about a pixel.

Every frame is cut from the picture with its real border content: nothing is padded or wrapped.
"""

from dataclasses import dataclass
from functools import lru_cache

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from data_pipelines.errors import BadSampleError
from eval.data.raw_image import RawImage
from eval.data.views import ImageTransform, shorter_side
from vlsuite.batches.transforms import to_uint8

#: Pixels kept free on each side of a picture, so that a shift finds real content there.
FREE = 1


@lru_cache(maxsize=16)
def input_side(transform: ImageTransform) -> int:
    """Side in pixels of the square that a model is shown."""
    return int(transform(Image.new("RGB", (8, 8))).shape[-1])


@dataclass(frozen=True, slots=True)
class MovedPicture:
    """The original picture moved by whole pixels, then the model's own transform.

    Args:
        down, right: by how many pixels, -1 to 1; (0, 0) is the picture without its outermost
            pixels, which the shifted ones are compared with.
    """

    down: int = 0
    right: int = 0

    @property
    def key(self) -> str:
        """See ``Frame``."""
        return f"moved{self.down:+d}{self.right:+d}"

    def __call__(
        self, picture: RawImage, transform: ImageTransform
    ) -> UInt8[Tensor, "3 height width"]:
        """See ``Frame``."""
        return transform(moved(picture.rgb, self.down, self.right))


@dataclass(frozen=True, slots=True)
class Window:
    """The square of the model's input in the middle of the resized picture.

    The picture is resized (bicubic) until its shorter side is the input's plus 2, then the window
    is cut; a model with its own border (CLIP's has none) sees a little less.

    Args:
        zoom: pixels added to the resized picture's shorter side: the same window of a picture
            that is a little larger or smaller, -2 to any.
        down, right: by how many pixels of the resized picture the window is moved.
    """

    zoom: int = 0
    down: int = 0
    right: int = 0

    @property
    def key(self) -> str:
        """See ``Frame``."""
        return f"window{self.zoom:+d}{self.down:+d}{self.right:+d}"

    def __call__(
        self, picture: RawImage, transform: ImageTransform
    ) -> UInt8[Tensor, "3 height width"]:
        """See ``Frame``."""
        side = input_side(transform)
        resized = resized_for_shifts(moved(picture.rgb, 0, 0), side, zoom=self.zoom)
        left = round((resized.width - side) / 2) + self.right
        top = round((resized.height - side) / 2) + self.down
        return to_uint8(resized.crop((left, top, left + side, top + side)))


def resized_for_shifts(image: Image.Image, side: int, *, zoom: int = 0) -> Image.Image:
    """Resized (bicubic) so that ``side`` pixels of the shorter side can be moved by one.

    Args:
        zoom: pixels added to the shorter side.
    """
    return shorter_side(image, side + 2 * FREE + zoom, Image.Resampling.BICUBIC)


def moved(image: Image.Image, down: int, right: int) -> Image.Image:
    """The picture without its outermost pixels, moved within them.

    Raises:
        BadSampleError: the picture has fewer than 3 pixels a side.
    """
    if min(image.size) < 2 * FREE + 1:
        raise BadSampleError(
            "too small",
            f"{image.width} x {image.height} pixels; the task translation needs {2 * FREE + 1} a "
            "side to move a picture by one: give larger ones, or leave the task out with --task",
        )
    left, top = FREE + right, FREE + down
    return image.crop((left, top, left + image.width - 2 * FREE, top + image.height - 2 * FREE))
