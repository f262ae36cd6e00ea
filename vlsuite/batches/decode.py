"""Encoded bytes to an upright RGB picture, with a size limit checked before decoding."""

import io
import struct
import zlib

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from vlsuite.errors import DataError

#: Larger pictures are refused before any pixel is decoded (decompression bombs).
MAX_PIXELS = 89_478_485

#: What Pillow's decoders raise on broken bytes (found by decoding pictures with bytes changed).
_BROKEN = (OSError, ValueError, TypeError, SyntaxError, EOFError, AttributeError, LookupError)
_BROKEN += (ArithmeticError, RuntimeError, MemoryError, struct.error, zlib.error)

#: What turns a picture upright, by the value of EXIF tag 0x0112 (1 needs nothing).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(data: bytes, *, shrink_to: int | None = None) -> Image.Image:
    """Decode to RGB; transparency is laid on white and EXIF rotation applied.

    open_clip's ``convert("RGB")`` drops the alpha channel and shows whatever colour lies under
    it, clips 16-bit gray to its darkest 1/256, and ignores EXIF rotation; we depart from it in
    all three.

    Args:
        data: PNG, JPEG, WebP or anything else Pillow reads; the first frame of an animation.
        shrink_to: lets a JPEG be decoded at 1/2, 1/4 or 1/8 while both sides stay at least this
            many pixels; None decodes at full size.
    Raises:
        DataError: empty, truncated, not an image, or more than ``MAX_PIXELS``.
    """
    if not data:
        raise DataError("image has zero bytes")
    try:
        image = Image.open(io.BytesIO(data))
        if image.width * image.height > MAX_PIXELS:
            raise DataError(f"image of {image.width} x {image.height} pixels is over the limit")
        if shrink_to is not None and image.format == "JPEG":
            image.draft("RGB", (shrink_to, shrink_to))
        orientation = _orientation(image)
        image = _on_white(image)
        return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DataError(f"not a readable image: {type(error).__name__}") from error
    except _BROKEN as error:
        raise DataError(f"broken image: {' '.join(str(error).split())[:120]}") from error


def _orientation(image: Image.Image) -> int | None:
    """EXIF orientation; None where there is none or the EXIF block is broken."""
    if "exif" not in image.info:
        return None
    try:
        return image.getexif().get(ExifTags.Base.Orientation)
    except _BROKEN:
        return None


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_16_bit(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode != "RGB":
        return image.convert("RGB")
    image.load()
    return image


def _from_16_bit(image: Image.Image) -> Image.Image:
    """16-bit gray as RGB; Pillow itself would clip it at 255."""
    values = np.asarray(image)
    gray = (values >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        gray[values == transparent] = 255
    return Image.fromarray(gray).convert("RGB")
