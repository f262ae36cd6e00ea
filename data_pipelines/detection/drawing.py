"""Pictures with boxes, masks, names and scores drawn on them, legible on small pictures too.

For contact sheets, reports of errors and ``vlsuite detect``. A small picture is enlarged first
where that is asked for; lines and letters have the size of what is shown. A name stands above its
box, inside where there is no room above, and never leaves the picture.
"""

import colorsys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from data_pipelines.detection.annotations import Annotations
from data_pipelines.detection.geometry import marked, transformed
from data_pipelines.detection.jitter import fitted
from data_pipelines.detection.masks import pixels_of
from data_pipelines.fonts import Font, font_of

#: Okabe and Ito's colours (safe for colour-blind readers), without black and yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
#: The longer side, in pixels, that reports enlarge small pictures to.
LEAST_SIDE = 480

_LETTERS, _LEAST_LETTERS = 1 / 32, 11  # of the longer side; pixels
_LINE, _LEAST_LINE = 1 / 240, 2
_MAX_TEXT = 40  # characters
_FILLED = 0.35  # of a mask's colour over the picture
_GOLDEN = 0.618033988749895  # turns of the colour circle, so that neighbours differ
_BRIGHT = 140  # of 255, from which black letters are easier to read than white ones


class Drawn(NamedTuple):
    """One region to draw.

    Attributes:
        box: left, top, right, bottom in pixels of the picture.
        text: beside it; empty for none.
        colour: of line and ground of the text, "#rrggbb".
        is_dashed: for regions that are marked rather than found.
        mask: true inside, of the picture's size; None for none.
    """

    box: tuple[float, float, float, float]
    text: str = ""
    colour: str = COLOURS[0]
    is_dashed: bool = False
    mask: np.ndarray | None = None


def draw_regions(
    picture: Image.Image, regions: Sequence[Drawn], *, least_side: int | None = LEAST_SIDE
) -> Image.Image:
    """A copy of the picture with the regions on it, the first ones uppermost.

    Args:
        picture: of any size.
        least_side: a picture whose longer side is smaller is enlarged to it, pixels; None: none is.
    """
    scale = max(1.0, (least_side or 1) / max(picture.size))
    canvas = picture.convert("RGB")
    if scale > 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        canvas = canvas.resize((width, height), Image.Resampling.BICUBIC)
    longest = max(canvas.size)
    for region in reversed(regions):
        if region.mask is not None:
            canvas = _filled(canvas, region.mask, region.colour)
    pen = ImageDraw.Draw(canvas)
    line = max(_LEAST_LINE, round(longest * _LINE))
    for region in reversed(regions):
        _outline(pen, _scaled(region.box, scale), region, line)
    font = font_of(max(_LEAST_LETTERS, round(longest * _LETTERS)), bold=True)
    for region in reversed(regions):
        if region.text:
            _label(pen, _scaled(region.box, scale), region, font, canvas.size)
    return canvas


def annotated_picture(
    picture: Image.Image,
    annotations: Annotations,
    names: Sequence[str],
    *,
    side: int | None = None,
) -> Image.Image:
    """A picture with what is marked in it: a colour a name, crowds with "(crowd)".

    Args:
        picture: upright, of the size of the annotations.
        names: by row of the vocabulary.
        side: the longer side of the result in pixels; None keeps the size.
    """
    if side is not None:
        picture, annotations = _shrunk(picture, annotations, side)
    masks = annotations.masks or (None,) * annotations.num_objects
    rows = zip(
        annotations.boxes.tolist(),
        annotations.labels.tolist(),
        annotations.is_crowd.tolist(),
        masks,
        strict=True,
    )
    size = (picture.height, picture.width)
    regions = [
        Drawn(
            (box[0], box[1], box[2], box[3]),
            f"{names[int(label)]} (crowd)" if crowd else names[int(label)],
            colour_of(label),
            mask=None if mask is None else pixels_of(mask, size) > 0,
        )
        for box, label, crowd, mask in rows
    ]
    return draw_regions(picture, regions, least_side=None)


def colour_of(number: int) -> str:
    """A colour for each class, the same in every picture: first the safe ones, then any other."""
    if number < len(COLOURS):
        return COLOURS[number]
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1.0, 0.85, 0.95)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _shrunk(
    picture: Image.Image, annotations: Annotations, side: int
) -> tuple[Image.Image, Annotations]:
    transform = fitted(annotations.size, longest=side)
    found = transformed(marked(np.asarray(picture.convert("RGB")), annotations), transform)
    assert found.pixels is not None
    return Image.fromarray(found.pixels), found.annotations


def _scaled(box: Sequence[float], scale: float) -> tuple[float, float, float, float]:
    """Corners of the outline, which lies on the pixels inside the box."""
    left, top, right, bottom = (side * scale for side in box)
    return left, top, max(right - 1, left), max(bottom - 1, top)


def _filled(canvas: Image.Image, mask: np.ndarray, colour: str) -> Image.Image:
    cover = Image.fromarray((mask > 0).astype(np.uint8) * round(255 * _FILLED))
    plain = Image.new("RGB", canvas.size, colour)
    return Image.composite(plain, canvas, cover.resize(canvas.size))


def _outline(
    pen: ImageDraw.ImageDraw, box: tuple[float, float, float, float], region: Drawn, width: int
) -> None:
    left, top, right, bottom = box
    if not region.is_dashed:
        pen.rectangle(box, outline=region.colour, width=width)
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
    font: Font,
    size: tuple[int, int],
) -> None:
    text = region.text[:_MAX_TEXT]
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = max(1, round((bottom - top) / 6))
    wide, high = right - left + 2 * pad, bottom - top + 2 * pad
    y = box[1] - high if box[1] >= high else box[1]
    x = min(max(box[0], 0), max(size[0] - wide, 0))
    y = min(max(y, 0), max(size[1] - high, 0))
    pen.rectangle((x, y, x + wide, y + high), fill=region.colour)
    ink = "black" if ImageColor.getcolor(region.colour, "L") >= _BRIGHT else "white"  # type: ignore[operator]
    pen.text((x + pad - left, y + pad - top), text, font=font, fill=ink)
