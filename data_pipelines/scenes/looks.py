"""A sprite as it stands in a scene: scaled, turned, mirrored, in other light, and laid there."""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from data_pipelines.cut_outs import blend, turned
from data_pipelines.scenes.sprites import Sprite

#: Alpha from which a pixel belongs to a mask.
SOLID = 128

_TURN = 20.0  # degrees to either side
_LIGHT = (0.8, 1.2)  # factors of brightness and contrast
_SATURATION = (0.6, 1.3)
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # luma of ITU-R BT.601


class Look(NamedTuple):
    """Premultiplied pixels, and which of them are solid; trimmed to these.

    Attributes:
        pixels: RGB multiplied by alpha, and alpha.
        is_solid: of which mask and box are made.
    """

    pixels: UInt8[np.ndarray, "height width 4"]
    is_solid: np.ndarray


def draw_look(sprite: Sprite, longest: int, rng: np.random.Generator) -> Look:
    """The sprite in a random pose.

    Args:
        longest: its longer side before it is turned, in pixels.
    """
    angle = float(rng.uniform(-_TURN, _TURN))
    is_flipped = rng.random() < 0.5
    lit = _lit(sprite.pixels, rng)
    facing = lit[:, ::-1] if is_flipped else lit
    return _trimmed(turned(facing, longest, angle, resampling=Image.Resampling.BICUBIC))


def lay(canvas: UInt8[np.ndarray, "rows columns 3"], look: Look, left: int, top: int) -> None:
    """Blend a look into a canvas that holds it, its upper left corner at (left, top)."""
    height, width = look.pixels.shape[:2]
    blend(canvas[top : top + height, left : left + width], look.pixels)


def _lit(
    pixels: UInt8[np.ndarray, "height width 4"], rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 4"]:
    """Other brightness, contrast and saturation; the hue stays, which may tell names apart."""
    brightness, contrast = rng.uniform(*_LIGHT, 2).astype(np.float32)
    saturation = np.float32(rng.uniform(*_SATURATION))
    colours = pixels[..., :3].astype(np.float32)
    grey = (colours @ _GREY)[..., None]
    colours = grey + (colours - grey) * saturation
    colours = (128 + (colours - 128) * contrast) * brightness
    lit = pixels.copy()
    lit[..., :3] = np.clip(colours + 0.5, 0, 255)
    return lit


def _trimmed(pixels: UInt8[np.ndarray, "height width 4"]) -> Look:
    """Without rows and columns at the edge that have nothing solid; all of it where nothing has."""
    is_solid = pixels[..., 3] >= SOLID
    rows, columns = np.flatnonzero(is_solid.any(axis=1)), np.flatnonzero(is_solid.any(axis=0))
    if not len(rows):
        return Look(pixels, is_solid)
    part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return Look(pixels[part], is_solid[part])
