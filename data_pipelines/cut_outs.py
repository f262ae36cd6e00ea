"""Pictures of one thing on nothing: cut out by their alpha, of one size, and laid over others."""

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.image_formats import open_image
from data_pipelines.images import check_image

#: Alpha below which a pixel counts as empty.
CLEAR = 32

_MIN_SHARE, _MAX_SHARE = 0.1, 0.95  # of a square frame of the cut-out that is opaque


def cut_out(data: bytes, *, side: int) -> UInt8[np.ndarray, "height width 4"]:
    """The thing alone: RGBA, trimmed to what can be seen, its longest side scaled to ``side``.

    Raises:
        BadSampleError: "broken picture", "picture is empty", or "picture is not cut out" (all or
            next to nothing of it is opaque).
    """
    try:
        check_image(data)
    except DataError as error:
        raise BadSampleError("broken picture", str(error)) from error
    with open_image(data) as image:
        cut = image.convert("RGBA")
    box = cut.getchannel("A").point([255 * (alpha >= CLEAR) for alpha in range(256)]).getbbox()
    if box is None:
        raise BadSampleError("picture is empty", "")
    cut = cut.crop(box)
    scale = side / max(cut.size)
    size = (max(1, round(cut.width * scale)), max(1, round(cut.height * scale)))
    pixels = np.asarray(cut.resize(size, Image.Resampling.BICUBIC))
    share = float((pixels[..., 3] >= CLEAR).sum()) / side**2
    corners = pixels[[0, 0, -1, -1], [0, -1, 0, -1], 3]
    if not _MIN_SHARE <= share <= _MAX_SHARE or (corners >= 255 - CLEAR).all():
        raise BadSampleError("picture is not cut out", "")
    return pixels


def turned(
    pixels: UInt8[np.ndarray, "height width 4"],
    longest: int,
    angle: float,
    *,
    resampling: Image.Resampling,
) -> UInt8[np.ndarray, "rows columns 4"]:
    """A cut-out at a size, turned: RGB multiplied by alpha, and alpha.

    Args:
        longest: its longer side before it is turned, in pixels.
        angle: in degrees, counter-clockwise.
        resampling: of the size.
    """
    height, width = pixels.shape[:2]
    scale = max(longest, 1) / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Premultiplied, or the colour of what cannot be seen bleeds into the edges.
    picture = Image.fromarray(pixels).convert("RGBa").resize(size, resampling)
    if angle:
        picture = picture.rotate(angle, Image.Resampling.BILINEAR, expand=True)
    return np.asarray(picture)


def blend(
    below: UInt8[np.ndarray, "rows columns 3"], own: UInt8[np.ndarray, "rows columns 4"]
) -> None:
    """Lay a premultiplied picture over a part of a canvas of its size, which is changed."""
    rest = 255 - own[..., 3:].astype(np.uint16)
    below[:] = np.minimum(own[..., :3] + (below.astype(np.uint16) * rest + 127) // 255, 255)
