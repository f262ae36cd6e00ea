"""Pictures with boxes, names and scores drawn on them, legible on small pictures too.

A small picture is enlarged first; lines and letters have the size of what is shown. A name stands
above its box, inside where there is no room above, and never leaves the picture.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: Okabe and Ito's colours (safe for colour-blind readers), without yellow, which white text hides.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
#: Pictures are enlarged to at least this side, pixels.
LEAST_SIDE = 480
_LETTERS = 1 / 32  # of the longer side
_LEAST_LETTERS = 13  # pixels
_FILLED = 0.35


class Drawn(NamedTuple):
    """One region to draw.

    Attributes:
        box: left, top, right, bottom in pixels of the picture.
        text: beside it; empty for none.
        colour: of line and text, "#rrggbb".
        is_dashed: for regions that are marked rather than found.
        mask: true inside, of the picture's size; None for none.
    """

    box: tuple[float, float, float, float]
    text: str = ""
    colour: str = COLOURS[0]
    is_dashed: bool = False
    mask: np.ndarray | None = None


def colour_of(label: int) -> str:
    """A colour for each class, the same in every picture."""
    return COLOURS[label % len(COLOURS)]


def draw_regions(
    picture: Image.Image, regions: Sequence[Drawn], *, least_side: int = LEAST_SIDE
) -> Image.Image:
    """A copy of the picture with the regions on it, the first ones uppermost.

    Args:
        picture: of any size.
        least_side: a picture whose longer side is smaller is enlarged to it, pixels.
    """
    scale = max(1.0, least_side / max(picture.size))
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    canvas = picture.convert("RGB").resize((size[0], size[1]), Image.Resampling.BICUBIC)
    for region in reversed(regions):
        if region.mask is not None:
            canvas = _filled(canvas, region.mask, region.colour)
    pen = ImageDraw.Draw(canvas)
    letters = _font(max(_LEAST_LETTERS, round(max(size) * _LETTERS)))
    width = max(2, round(max(size) / 240))
    for region in reversed(regions):
        _outline(pen, tuple(side * scale for side in region.box), region, width)
    for region in reversed(regions):
        if region.text:
            _label(pen, tuple(side * scale for side in region.box), region, letters, canvas.size)
    return canvas


def _filled(canvas: Image.Image, mask: np.ndarray, colour: str) -> Image.Image:
    shape = Image.fromarray((mask > 0).astype(np.uint8) * round(255 * _FILLED))
    return Image.composite(Image.new("RGB", canvas.size, colour), canvas, shape.resize(canvas.size))


def _outline(pen: ImageDraw.ImageDraw, box: Sequence[float], region: Drawn, width: int) -> None:
    left, top, right, bottom = box
    right, bottom = max(right, left), max(bottom, top)
    if not region.is_dashed:
        pen.rectangle((left, top, right, bottom), outline=region.colour, width=width)
        return
    dash = 4 * width
    for x in np.arange(left, right, 2 * dash):
        for y in (top, bottom):
            pen.line((x, y, min(x + dash, right), y), fill=region.colour, width=width)
    for y in np.arange(top, bottom, 2 * dash):
        for x in (left, right):
            pen.line((x, y, x, min(y + dash, bottom)), fill=region.colour, width=width)


def _label(
    pen: ImageDraw.ImageDraw,
    box: Sequence[float],
    region: Drawn,
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
) -> None:
    left, top, right, bottom = pen.textbbox((0, 0), region.text, font=font)
    pad = max(2, round(font.size / 6))
    wide, high = right - left + 2 * pad, bottom - top + 2 * pad
    y = box[1] - high if box[1] >= high else box[1]
    x = min(max(box[0], 0), max(size[0] - wide, 0))
    y = min(max(y, 0), max(size[1] - high, 0))
    pen.rectangle((x, y, x + wide, y + high), fill=region.colour)
    pen.text((x + pad - left, y + pad - top), region.text, font=font, fill="white")


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which has the letters of most alphabets; it comes with matplotlib."""
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans-Bold.ttf")
    return ImageFont.truetype(str(path), size)
