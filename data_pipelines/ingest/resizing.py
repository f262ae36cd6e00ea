"""A picture as it came to the picture that is stored: img2dataset's modes, upright, on white.

Departures from img2dataset: the size is tested before a JPEG is decoded; pictures are turned as
their EXIF orientation says; 16-bit and transparent pictures keep their look; no EXIF is carried
along (it may hold the place and the owner), only what was put right is noted.
"""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image

from data_pipelines.errors import BadSampleError
from data_pipelines.image_formats import SUFFIX_OF_FORMAT, open_image
from data_pipelines.images import MAX_PIXELS
from data_pipelines.ingest.settings import Filter, PictureSettings
from data_pipelines.schema import IMAGE_SUFFIXES

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_JPEG = b"\xff\xd8"
_AREA_GAP = 1.5  # of the size asked for; what lies beyond is averaged over whole pixels first
_GAP = 2  # a JPEG is decoded at reduced size where this many times the asked size is left

#: Reads the header of encoded bytes and refuses what must not be decoded (``BadSampleError``).
#: It gives ``width`` and ``height`` of the upright picture, and ``decode(shrink=)`` gives
#: ``values`` (upright RGB at 1 / shrink of the size, or at full size) and ``mended``.
Opener = Callable[[bytes], Any]


class StoredPicture(NamedTuple):
    """Bytes to store, and facts of both pictures.

    Attributes:
        suffix: of the format of ``data``.
        format: of the bytes as they came.
    """

    data: bytes
    suffix: str
    format: str
    original_width: int
    original_height: int
    width: int
    height: int
    mended: tuple[str, ...]


def stored_picture(data: bytes, settings: PictureSettings, open_picture: Opener) -> StoredPicture:
    """The picture as it is stored.

    Args:
        open_picture: ``vlsuite.batches.pictures.open_picture``, or what does the same.
    Raises:
        BadSampleError: it is broken, or of a size that the settings refuse.
    """
    picture = open_picture(data)
    width, height = picture.width, picture.height
    _check_size(width, height, settings)
    layout = layout_of(width, height, settings)
    pixels = picture.decode(shrink=_shrink(width, height, layout))
    suffix = "jpg" if data.startswith(_JPEG) else _suffix(data)
    is_same = not layout.is_changed and not pixels.mended and suffix in IMAGE_SUFFIXES
    if settings.skip_reencode and is_same:
        return StoredPicture(data, suffix, suffix, width, height, width, height, ())
    values = _laid_out(pixels.values, layout, settings)
    return StoredPicture(
        data=_encoded(values, settings),
        suffix=settings.encode_format,
        format=suffix,
        original_width=width,
        original_height=height,
        width=values.shape[1],
        height=values.shape[0],
        mended=tuple(pixels.mended),
    )


class Layout(NamedTuple):
    """Where the pixels go.

    Attributes:
        width, height: that the whole picture is scaled to.
        is_changed: whether a stored picture differs from the one that came.
        is_cropped, is_padded: to a square of ``side``.
    """

    width: int
    height: int
    side: int
    is_changed: bool
    is_cropped: bool = False
    is_padded: bool = False


def layout_of(width: int, height: int, settings: PictureSettings) -> Layout:
    """The layout of a picture of some size, as img2dataset has it.

    Raises:
        BadSampleError: the scaled picture would be too large: a line of pixels can be.
    """
    mode, side = settings.resize_mode, settings.image_size
    if mode == "no":
        return Layout(width, height, side, is_changed=False)
    is_by_shorter = mode in ("keep_ratio", "center_crop")
    given = min(width, height) if is_by_shorter else max(width, height)
    if settings.resize_only_if_bigger and given <= side:
        return Layout(width, height, side, is_changed=False)
    new = max(1, round(width * side / given)), max(1, round(height * side / given))
    if new[0] * new[1] > MAX_PIXELS:
        raise BadSampleError("too many pixels", f"{new[0]} x {new[1]} after scaling")
    is_cropped, is_padded = mode == "center_crop", mode == "border"
    is_square = (is_cropped or is_padded) and new != (side, side)
    return Layout(
        *new,
        side,
        is_changed=new != (width, height) or is_square,
        is_cropped=is_cropped,
        is_padded=is_padded,
    )


def _check_size(width: int, height: int, settings: PictureSettings) -> None:
    size = f"{width} x {height}"
    if min(width, height) < settings.min_image_size:
        raise BadSampleError("image too small", size)
    if width * height > settings.max_image_area:
        raise BadSampleError("image area too large", size)
    if max(width, height) > settings.max_aspect_ratio * min(width, height):
        raise BadSampleError("aspect ratio too large", size)


def _shrink(width: int, height: int, layout: Layout) -> int:
    """How much smaller a JPEG may be decoded: enough pixels for the filter to choose from."""
    for shrink in (8, 4, 2):
        if width >= shrink * _GAP * layout.width and height >= shrink * _GAP * layout.height:
            return shrink
    return 1


def _laid_out(
    values: UInt8[np.ndarray, "height width 3"], layout: Layout, settings: PictureSettings
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    height, width = values.shape[:2]
    if (width, height) != (layout.width, layout.height):
        is_larger = width > layout.width or height > layout.height
        name = settings.downscale_interpolation if is_larger else settings.upscale_interpolation
        image = Image.fromarray(np.ascontiguousarray(values))
        values = np.asarray(_resized(image, (layout.width, layout.height), name))
    height, width = values.shape[:2]
    side = layout.side
    if layout.is_cropped:
        top, left = (height - side) // 2, (width - side) // 2
        return values[top : top + side, left : left + side]
    if layout.is_padded and (width, height) != (side, side):
        top, left = (side - height) // 2, (side - width) // 2
        square = np.full((side, side, 3), 255, dtype=np.uint8)
        square[top : top + height, left : left + width] = values
        return square
    return values


def _resized(image: Image.Image, size: tuple[int, int], name: Filter) -> Image.Image:
    if name != "area":
        return image.resize(size, _FILTERS[name])
    if not image.width % size[0] and not image.height % size[1]:
        return image.resize(size, Image.Resampling.BOX)
    # Pillow's box takes or leaves whole pixels: three grey levels from the mean, Hamming one
    return image.resize(size, Image.Resampling.HAMMING, reducing_gap=_AREA_GAP)


def _encoded(values: UInt8[np.ndarray, "height width 3"], settings: PictureSettings) -> bytes:
    if settings.encode_format == "jpg":
        return simplejpeg.encode_jpeg(
            np.ascontiguousarray(values),
            quality=settings.encode_quality,
            colorsubsampling="420",
            fastdct=False,
        )
    stream = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(values))
    if settings.encode_format == "png":
        image.save(stream, "PNG", compress_level=settings.encode_quality)
    else:
        image.save(stream, "WEBP", quality=settings.encode_quality)
    return stream.getvalue()


def _suffix(data: bytes) -> str:
    with open_image(data) as image:
        return SUFFIX_OF_FORMAT[image.format or ""]
