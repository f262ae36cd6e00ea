"""A hash of 64 bits that survives scaling and coding: pictures that look alike differ in few.

pHash as ``imagehash.phash`` computes it (Zauner 2010, "Implementation and Benchmarking of
Perceptual Image Hash Functions", section 3.2.1): grey levels on a grid of 32 by 32, its DCT-II,
the 8 by 8 lowest frequencies, a bit for each that lies above their median. Scaling (Lanczos, as
Pillow's) and DCT are linear, so one small matrix for each side of the picture does both. Unlike
imagehash the picture is turned upright first, and the grid is not rounded to whole grey levels.

A JPEG decoded at reduced size is several times faster and gives another hash than its full pixels
(0.5 to 1.5 bits in the mean, up to 10). Hashes of different decode paths are never compared, so
that each is stored with the path that it was decoded on.
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from data_pipelines.curation.picture_facts import PictureFacts
from data_pipelines.images import on_white, opened_image

#: How pictures are decoded for their hash; see ``perceptual_hash``.
Decoding = Literal["scaled", "full"]

SCALED_PATH, FULL_PATH = "jpeg-scaled-64", "full"

_GRID, _KEPT = 32, 8
_LEAST = 2 * _GRID  # pixels of the shorter side that a scaled decode must leave

# EXIF orientation to the turns (by 90 degrees, anticlockwise) and the mirroring that undo it.
_UPRIGHT = {
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (3, False),
    7: (1, True),
    8: (1, False),
}


class PerceptualHash(NamedTuple):
    """64 bits, the lowest frequency first (the highest bit), and the decode path."""

    bits: int
    path: str


def perceptual_hash(data: bytes, facts: PictureFacts, *, decoding: Decoding) -> PerceptualHash:
    """The hash of an encoded picture.

    Args:
        facts: what its header says.
        decoding: "scaled" decodes a JPEG at the smallest size whose shorter side has 64 pixels or
            more (the path ``jpeg-scaled-64``), everything else fully; "full" decodes all fully
            (the path ``full``), so that all can be compared.
    Raises:
        DataError: "broken image" or "truncated image", with the detail.
    """
    if decoding == "scaled" and facts.format in ("jpeg", "mpo") and facts.mode in ("L", "RGB"):
        gray = _scaled(data)
        if gray is not None:
            return PerceptualHash(_bits(_turned(gray, facts.orientation)), SCALED_PATH)
    return PerceptualHash(_bits(_turned(_full(data), facts.orientation)), FULL_PATH)


def _scaled(data: bytes) -> UInt8[np.ndarray, "height width"] | None:
    """None where libjpeg-turbo refuses it: Pillow then says what is wrong, or reads it."""
    import simplejpeg

    try:
        pixels: Any = simplejpeg.decode_jpeg(
            data, colorspace="GRAY", min_height=_LEAST, min_width=_LEAST, fastdct=True
        )
    except (ValueError, RuntimeError):
        return None
    return pixels[:, :, 0]


def _full(data: bytes) -> UInt8[np.ndarray, "height width"]:
    with opened_image(data) as image:
        image.load()
        if image.mode.startswith("I;16"):
            return (np.asarray(image) >> 8).astype(np.uint8)
        flat = image if image.mode in ("L", "RGB", "CMYK") else on_white(image)
        return np.asarray(flat.convert("L"))


def _turned(
    gray: UInt8[np.ndarray, "height width"], orientation: int | None
) -> UInt8[np.ndarray, "upright_height upright_width"]:
    turns, is_mirrored = _UPRIGHT.get(orientation or 1, (0, False))
    turned = np.rot90(gray, turns)
    return np.fliplr(turned) if is_mirrored else turned


def _bits(gray: UInt8[np.ndarray, "height width"]) -> int:
    height, width = gray.shape
    low = _lowest(height) @ (gray @ _lowest(width).T)
    above = low > np.median(low)
    return int.from_bytes(np.packbits(above.ravel()).tobytes(), "big")


@lru_cache(maxsize=512)
def _lowest(length: int) -> Float64[np.ndarray, "kept length"]:
    """The lowest frequencies of the scaled side, from its pixels."""
    places = np.arange(_GRID)
    waves = np.cos(np.pi * np.outer(np.arange(_KEPT), 2 * places + 1) / (2 * _GRID))
    return waves @ _scaling(length)


def _scaling(length: int) -> Float64[np.ndarray, "grid length"]:
    """Weights of Pillow's Lanczos filter from ``length`` pixels to the grid."""
    scale = length / _GRID
    stretch = max(scale, 1.0)
    weights = np.zeros((_GRID, length))
    for row in range(_GRID):
        center = (row + 0.5) * scale
        first = max(int(center - 3 * stretch + 0.5), 0)
        last = min(int(center + 3 * stretch + 0.5), length)
        distance = (np.arange(first, last) - center + 0.5) / stretch
        own = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0.0)
        weights[row, first:last] = own / own.sum()
    return weights
