"""Pictures for training: size first, then only as many pixels as the view needs.

JPEG goes through libjpeg-turbo directly, everything else through Pillow.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import simplejpeg
from jaxtyping import UInt8

from vlsuite.batches import jpeg_markers
from vlsuite.batches.decode import (
    check_size,
    decode_and_mend,
    jpeg_orientation,
)
from vlsuite.errors import BadSampleError

#: Turns stored rows and columns upright, by EXIF orientation.
_UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: a[::-1].transpose(1, 0, 2),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: a[:, ::-1].transpose(1, 0, 2),
}


class Pixels(NamedTuple):
    """Upright RGB pixels, 0 to 255.

    Attributes:
        values: pixel (y, x) covers the square of side ``shrink`` from (y, x) * shrink on.
        shrink: pixels of the full picture per pixel here, 1, 2, 4 or 8.
        mended: what had to be put right, for counting.
    """

    values: UInt8[np.ndarray, "height width 3"]
    shrink: int
    mended: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class JpegPicture:
    """A JPEG whose header was read: upright size in pixels, and how it is stored.

    At ``shrink=1`` the pixels equal Pillow's bit for bit; smaller ones come from the same
    reduced DCT as Pillow's ``draft``.

    What libjpeg warns about is no good picture: missing or damaged contents are refused, where
    Pillow fills the gap with gray as long as an end marker follows. Stray bytes between
    segments are accepted and counted, since every pixel was there.
    """

    data: bytes
    width: int
    height: int
    orientation: int

    def decode(self, *, shrink: int) -> Pixels:
        """The pixels at 1 / ``shrink`` of the size, rounded up; full size where Pillow has to help.

        Raises:
            BadSampleError: "truncated image" or "broken image".
        """
        sides = -(-self.height // shrink), -(-self.width // shrink)
        height, width = sides if self.orientation < 5 else sides[::-1]
        try:
            values = simplejpeg.decode_jpeg(self.data, min_height=height, min_width=width)
        except ValueError as error:
            return self._decode_with_pillow(str(error))
        mended = () if self.orientation == 1 else ("EXIF rotation",)
        return Pixels(_UPRIGHT[self.orientation](values), shrink, mended)

    def _decode_with_pillow(self, warning: str) -> Pixels:
        is_stray = "extraneous bytes" in warning
        if "remature end" in warning:
            raise BadSampleError("truncated image", warning)
        if warning.startswith("Corrupt JPEG data") and not is_stray:
            raise BadSampleError("broken image", warning)
        image, mended = decode_and_mend(self.data)
        return Pixels(np.array(image), 1, (*mended, "stray bytes") if is_stray else mended)


@dataclass(frozen=True, kw_only=True, slots=True)
class PillowPicture:
    """A picture that Pillow has decoded already."""

    pixels: Pixels

    @property
    def width(self) -> int:
        """In pixels, upright."""
        return self.pixels.values.shape[1]

    @property
    def height(self) -> int:
        """In pixels, upright."""
        return self.pixels.values.shape[0]

    def decode(self, *, shrink: int) -> Pixels:
        """The pixels at full size, whatever ``shrink`` allows."""
        return self.pixels


def open_picture(data: bytes) -> JpegPicture | PillowPicture:
    """Read the size of an encoded picture; nothing of a JPEG is decoded yet.

    Raises:
        BadSampleError: see :func:`vlsuite.batches.decode.decode_and_mend`.
    """
    jpeg = _open_jpeg(data) if data.startswith(jpeg_markers.START) else None
    if jpeg is not None:
        return jpeg
    image, mended = decode_and_mend(data)
    return PillowPicture(pixels=Pixels(np.array(image), 1, mended))


def _open_jpeg(data: bytes) -> JpegPicture | None:
    """None where Pillow has to read it: inks instead of light (CMYK), an odd or broken header."""
    markers = jpeg_markers.read_markers(data)
    jpeg_markers.refuse_scan_bomb(data, markers)
    try:
        rows, columns, colorspace, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    height, width = int(rows), int(columns)
    check_size(width, height)
    if colorspace in ("CMYK", "YCCK"):
        return None
    orientation = jpeg_orientation(data) if markers.has_exif else 1
    if orientation >= 5:
        width, height = height, width
    return JpegPicture(data=data, width=width, height=height, orientation=orientation)
