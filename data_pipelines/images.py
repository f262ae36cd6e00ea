"""Encoded images checked by their own bytes, whatever their file name claims."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from data_pipelines.bounded_files import media_bytes
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.image_formats import SUFFIX_OF_FORMAT, open_image
from data_pipelines.schema import IMAGE_SUFFIXES
from data_pipelines.skips import Skips

#: Refused before any pixel is decoded: a file of some KB can claim gigabytes of pixels.
MAX_PIXELS = 64_000_000

_STORED = frozenset(IMAGE_SUFFIXES)

_ORIENTATION = 0x0112  # EXIF
_ON_ITS_SIDE = (5, 6, 7, 8)


class ImageInfo(NamedTuple):
    """What the bytes hold: format name of Pillow ("PNG"), size in pixels, colour mode ("RGB")."""

    format: str
    width: int
    height: int
    mode: str


class StorableImage(NamedTuple):
    """Bytes and suffix to store, and the format they were converted from (None: unchanged)."""

    data: bytes
    suffix: str
    converted_from: str | None


def check_image(data: bytes) -> ImageInfo:
    """Decode an image completely and describe it.

    Raises:
        DataError: "not an image", "too many pixels" or "broken image", with the detail after a
            colon.
    """
    with opened_image(data) as image:
        if image.width * image.height > MAX_PIXELS:
            raise DataError(f"too many pixels: {image.width} x {image.height}")
        info = ImageInfo(image.format or "", image.width, image.height, image.mode)
        image.load()
    return info


@contextmanager
def opened_image(data: bytes) -> Iterator[Image.Image]:
    """A picture whose header was read; what opening and decoding it raise is told in one way.

    Raises:
        DataError: "not an image", "too many pixels" or "broken image", with the detail after a
            colon.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_image(data) as image:
                yield image
    except BadSampleError as error:
        raise DataError(str(error)) from error
    except Image.UnidentifiedImageError:
        raise DataError(f"not an image: {len(data)} bytes of another kind") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"too many pixels: far over {MAX_PIXELS}") from error
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        IndexError,
        MemoryError,
        RuntimeError,
    ) as error:
        raise DataError(f"broken image: {error}") from error


def storable(data: bytes) -> StorableImage:
    """The image as shards store it: png, jpg and webp unchanged, all other formats as png.

    What is converted is turned upright, since a png does not say how it lies. The first frame of
    an animation is kept.

    Raises:
        DataError: the image cannot be decoded, or is of another format.
    """
    info = check_image(data)
    suffix = SUFFIX_OF_FORMAT[info.format]
    if suffix in _STORED:
        return StorableImage(data, suffix, None)
    if info.mode in ("I", "F"):
        raise DataError(f"unknown pixel range: mode {info.mode} of {info.format}")
    with open_image(data) as image:
        upright = ImageOps.exif_transpose(_eight_bits(image))
        mode = "RGBA" if upright.has_transparency_data else "RGB"
        return StorableImage(encode_png(upright.convert(mode)), "png", info.format.lower())


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray by its upper bytes; Pillow itself would clip it at 255."""
    if not image.mode.startswith("I;16"):
        return image
    gray = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    gray.info["exif"] = image.getexif().tobytes()
    return gray


def encode_png(image: Image.Image) -> bytes:
    """PNG bytes without any metadata; equal pixels give equal bytes."""
    stream = io.BytesIO()
    Image.Image.save(image, stream, format="PNG", compress_level=9)
    return stream.getvalue()


def on_white(image: Image.Image) -> Image.Image:
    """The image as RGB, transparent parts composited over white."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    canvas = Image.new("RGBA", image.size, "white")
    canvas.alpha_composite(image.convert("RGBA"))
    return canvas.convert("RGB")


def upright_size(data: bytes) -> tuple[int, int]:
    """Height and width in pixels of a picture turned upright, from its header.

    Raises:
        DataError: it is no picture.
    """
    try:
        with open_image(data) as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
            width, height = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"not an image: {error}") from error
    return (width, height) if orientation in _ON_ITS_SIDE else (height, width)


def load_image(path: Path, skips: Skips) -> StorableImage | None:
    """The image in a file, None where it cannot be used; the reason is then in ``skips``."""
    try:
        return storable(media_bytes(path))
    except FileNotFoundError:
        skips.add("missing image file", str(path))
    except OSError as error:
        skips.add("unreadable image file", f"{path}: {error.strerror}")
    except DataError as error:
        skip_image(error, str(path), skips)
    return None


def skip_image(error: DataError, where: str, skips: Skips) -> None:
    """Count an image that ``storable`` refused, by the part of its message before the colon."""
    reason, _, detail = str(error).partition(": ")
    skips.add(reason, f"{where}: {detail}")
