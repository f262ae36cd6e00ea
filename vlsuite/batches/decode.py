"""Encoded bytes of any picture format to an upright RGB picture, checked before decoding."""

import io
import struct
import warnings
import zlib
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from data_pipelines.image_formats import open_image
from data_pipelines.images import MAX_PIXELS
from vlsuite.batches import jpeg_markers
from vlsuite.errors import BadSampleError

#: What Pillow's decoders raise on broken bytes (found by decoding pictures with bytes changed).
_BROKEN = (OSError, ValueError, TypeError, SyntaxError, EOFError, AttributeError, LookupError)
_BROKEN += (ArithmeticError, RuntimeError, MemoryError, struct.error, zlib.error)

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_BIT_DEPTH_AT = 24
_STARTS = (jpeg_markers.START, _PNG_START, b"RIFF", b"GIF8")
_MARKUP = (b"<!doctype", b"<html", b"<head", b"<?xml", b"<svg")

#: What turns a picture upright, by the value of EXIF tag 0x0112 (1 needs nothing).
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class DecodedImage(NamedTuple):
    """An upright RGB picture, and what had to be put right in it, for counting."""

    image: Image.Image
    mended: tuple[str, ...]


def decode_image(data: bytes) -> Image.Image:
    """The picture of :func:`decode_and_mend` alone."""
    return decode_and_mend(data).image


def decode_and_mend(data: bytes) -> DecodedImage:
    """Decode to RGB; transparency is laid on white and EXIF rotation applied.

    open_clip's ``convert("RGB")`` drops the alpha channel and shows whatever colour lies under
    it, clips 16-bit gray to its darkest 1/256, and ignores EXIF rotation; we depart from it in
    all three. 16 bits become 8 by dropping the lower byte. CMYK is converted without its colour
    profile. Of an animation the first frame is kept. Like Pillow, a JPEG with damaged
    contents is accepted as long as all of its bytes are there; training is stricter (see
    :class:`vlsuite.batches.pictures.JpegPicture`).

    Args:
        data: one of ``data_pipelines.image_formats``, told by its bytes and not by any name.
    Raises:
        BadSampleError: "zero bytes", "not an image", "too many pixels" (more than
            ``MAX_PIXELS``, seen before any pixel is decoded), "too many scans", "truncated
            image", "broken image" or "unknown pixel range" (32-bit gray).
    """
    refuse_before_decoding(data)
    try:
        with warnings.catch_warnings():
            # Pillow warns of sizes above its own limit, which is higher than ours.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = open_image(data)
        check_size(*image.size)
        mended = _first_frame(image) + _depth(image, data)
        rgb, colour = _rgb(image)
        check_size(*rgb.size)
        orientation = _orientation(image)
    except UnidentifiedImageError as error:
        raise _not_an_image(data) from error
    except Image.DecompressionBombError as error:
        raise BadSampleError("too many pixels", f"far over {MAX_PIXELS}") from error
    except _BROKEN as error:
        kind = "truncated image" if _is_cut(error, data) else "broken image"
        raise BadSampleError(kind, _one_line(error)) from error
    if orientation in UPRIGHT:
        return DecodedImage(
            rgb.transpose(UPRIGHT[orientation]), (*mended, *colour, "EXIF rotation")
        )
    return DecodedImage(rgb, (*mended, *colour))


def refuse_before_decoding(data: bytes) -> None:
    """What a look at the bytes is enough to refuse.

    Raises:
        BadSampleError: "zero bytes", "not an image" (HTML, SVG) or "too many scans".
    """
    if not data:
        raise BadSampleError("zero bytes", "the image member is empty")
    if data.startswith(jpeg_markers.START):
        jpeg_markers.refuse_scan_bomb(data, jpeg_markers.read_markers(data))
    elif data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(_MARKUP):
        raise BadSampleError("not an image", f"{len(data)} bytes of HTML, SVG or XML")


def check_size(width: int, height: int) -> None:
    """Refuse decompression bombs by the size in their header.

    Raises:
        BadSampleError: more than ``MAX_PIXELS``.
    """
    if width * height > MAX_PIXELS:
        raise BadSampleError("too many pixels", f"{width} x {height}, over {MAX_PIXELS}")


def jpeg_orientation(data: bytes) -> int:
    """EXIF orientation of a JPEG, 1 where there is none or the EXIF block is broken."""
    try:
        return _orientation(Image.open(io.BytesIO(data), formats=("JPEG",)))
    except (*_BROKEN, Image.DecompressionBombError):
        return 1


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info:
        return 1
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except _BROKEN:
        return 1
    return value if value in UPRIGHT else 1


def _first_frame(image: Image.Image) -> tuple[str, ...]:
    # MPO is a JPEG with a second view or a preview behind it, no animation.
    is_animated = image.format != "MPO" and getattr(image, "is_animated", False)
    image.seek(0)
    return ("animated",) if is_animated else ()


def _depth(image: Image.Image, data: bytes) -> tuple[str, ...]:
    is_16_bit_png = data.startswith(_PNG_START) and data[_PNG_BIT_DEPTH_AT] == 16
    return ("16-bit",) if is_16_bit_png or image.mode.startswith("I;16") else ()


def _rgb(image: Image.Image) -> DecodedImage:
    if image.mode in ("I", "F"):
        raise BadSampleError("unknown pixel range", f"mode {image.mode} of {image.format}")
    if image.mode.startswith("I;16"):
        return _from_16_bit(image)
    if image.has_transparency_data:
        return _on_white(image.convert("RGBA"))
    if image.mode == "CMYK":
        return DecodedImage(image.convert("RGB"), ("CMYK",))
    if image.mode != "RGB":
        return DecodedImage(image.convert("RGB"), ())
    image.load()
    return DecodedImage(image, ())


def _on_white(rgba: Image.Image) -> DecodedImage:
    if rgba.getchannel("A").getextrema() == (255, 255):
        return DecodedImage(rgba.convert("RGB"), ())
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return DecodedImage(Image.alpha_composite(white, rgba).convert("RGB"), ("transparency",))


def _from_16_bit(image: Image.Image) -> DecodedImage:
    """16-bit gray as RGB; Pillow itself would clip it at 255."""
    values = np.asarray(image)
    gray = (values >> 8).astype(np.uint8)
    transparent = image.info.get("transparency")
    is_clear = values == transparent if isinstance(transparent, int) else np.False_
    gray[is_clear] = 255
    mended = ("transparency",) if is_clear.any() else ()
    return DecodedImage(Image.fromarray(gray).convert("RGB"), mended)


def _is_cut(error: Exception, data: bytes) -> bool:
    # libwebp does not say why it fails; the length of the file is in its header.
    is_short = data.startswith(b"RIFF") and len(data) < 8 + int.from_bytes(data[4:8], "little")
    return is_short or isinstance(error, EOFError) or "truncated" in str(error).lower()


def _not_an_image(data: bytes) -> BadSampleError:
    if data.startswith(_STARTS) or data[4:8] == b"ftyp":
        return BadSampleError("broken image", f"no usable header in its {len(data)} bytes")
    return BadSampleError("not an image", f"{len(data)} bytes of another kind")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
