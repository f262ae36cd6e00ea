"""The view that a model evaluates pictures in, made faster: at most 2 levels of 255 off.

libjpeg-turbo decodes to the same pixels as Pillow, without Pillow's fourth byte; torch resizes with
vector code where Pillow has none, with weights rounded to 16 bits. Pictures of other formats are
decoded by Pillow, and models with a view of their own keep it.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional as geometry

from vlsuite.batches.crops import Box, resized_crop
from vlsuite.batches.decode import decode_image
from vlsuite.batches.pictures import JpegPicture, open_picture
from vlsuite.batches.transforms import EvalTransform
from vlsuite.errors import BadSampleError

#: "close": this module. "exact": as evaluations show pictures, Pillow's pixels bit for bit.
PIXELS = ("close", "exact")

View = Callable[[bytes], Tensor]


def view_of(transform: Callable[[Image.Image], Tensor], pixels: str) -> View:
    """Encoded pictures to what a model is shown, uint8 [3, height, width].

    Args:
        transform: of the model.
        pixels: one of ``PIXELS``.
    Returns:
        A function that raises ``BadSampleError`` where a picture cannot be decoded; the same ones
        for either kind of pixels.
    """
    if pixels == "close" and isinstance(transform, EvalTransform) and _is_simple(transform):
        return CloseView(transform)
    return lambda data: transform(decode_image(data))


class CloseView:
    """See the module.

    Args:
        transform: "squash", or "shortest" to a square.
    """

    def __init__(self, transform: EvalTransform) -> None:
        self._transform = transform

    def __call__(self, data: bytes) -> UInt8[Tensor, "3 height width"]:
        """The view of an encoded picture.

        Raises:
            BadSampleError: it cannot be decoded, by Pillow neither.
        """
        picture = open_picture(data)
        if not isinstance(picture, JpegPicture):
            return self._view(picture.decode(shrink=1).values)
        try:
            values = picture.decode(shrink=1).values
        except BadSampleError:  # training refuses some that evaluation shows
            return self._transform(decode_image(data))
        return self._view(values)

    def _view(self, pixels: UInt8[np.ndarray, "rows columns 3"]) -> UInt8[Tensor, "3 h w"]:
        height, width = self._transform.size
        rows, columns = pixels.shape[:2]
        whole = Box(0, 0, columns, rows)
        size = (height, width)
        if self._transform.resize_mode == "shortest":
            size = (
                (int(height * rows / columns), height)
                if columns <= rows
                else (height, int(height * columns / rows))
            )
        view = resized_crop(pixels, whole, size=size, interpolation=self._transform.interpolation)
        return geometry.center_crop(view, [height, width]).contiguous()


def _is_simple(transform: EvalTransform) -> bool:
    height, width = transform.size
    return transform.resize_mode == "squash" or (
        transform.resize_mode == "shortest" and height == width
    )
