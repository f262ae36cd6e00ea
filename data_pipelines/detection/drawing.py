"""Boxes and masks drawn into a picture, with their names."""

import colorsys
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageDraw, ImageFont

from data_pipelines.detection.annotations import Annotations, ObjectMask
from data_pipelines.detection.geometry import marked, transformed
from data_pipelines.detection.jitter import fitted
from data_pipelines.detection.masks import pixels_of

_FONT_SIZE = 11
_MAX_TEXT = 40  # characters
_MASK_SHARE = 0.35  # of its colour over the picture
_GOLDEN = 0.618033988749895  # turns of the colour circle, so that neighbours differ


def draw_boxes(
    picture: Image.Image,
    boxes: Float32[np.ndarray, "n 4"],
    texts: Sequence[str],
    *,
    colours: Sequence[str],
    masks: Sequence[ObjectMask] | None = None,
    line: int = 2,
) -> Image.Image:
    """A copy with outlines, names above them, and masks laid over.

    Args:
        boxes: left, top, right and bottom in pixels of the picture.
        texts: one a box, "" for none.
        colours: one a box, as Pillow writes them ("#ff0000").
        masks: one a box, of the size of the picture.
        line: width of the outlines in pixels.
    """
    drawn = picture.convert("RGB")
    for mask, colour in zip(masks or (), colours, strict=False):
        if mask is not None:
            shape = pixels_of(mask, (drawn.height, drawn.width))
            cover = Image.fromarray((shape * round(255 * _MASK_SHARE)).astype(np.uint8))
            drawn.paste(Image.new("RGB", drawn.size, colour), mask=cover)
    pen = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(size=_FONT_SIZE)
    for box, text, colour in zip(boxes.tolist(), texts, colours, strict=True):
        left, top, right, bottom = box
        # the outline lies on the pixels inside the box
        corners = [left, top, max(right - 1, left), max(bottom - 1, top)]
        pen.rectangle(corners, outline=colour, width=line)
        if text:
            _write(pen, text[:_MAX_TEXT], (left, top), colour, font, drawn.width)
    return drawn


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
    labels = annotations.labels.tolist()
    texts = [
        f"{names[int(label)]} (crowd)" if crowd else names[int(label)]
        for label, crowd in zip(labels, annotations.is_crowd.tolist(), strict=True)
    ]
    colours = [colour_of(label) for label in labels]
    return draw_boxes(picture, annotations.boxes, texts, colours=colours, masks=annotations.masks)


def colour_of(number: int) -> str:
    """A bright colour, another one for each number."""
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1.0, 0.85, 0.95)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _shrunk(
    picture: Image.Image, annotations: Annotations, side: int
) -> tuple[Image.Image, Annotations]:
    transform = fitted(annotations.size, longest=side)
    found = transformed(marked(np.asarray(picture.convert("RGB")), annotations), transform)
    assert found.pixels is not None
    return Image.fromarray(found.pixels), found.annotations


def _write(
    pen: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[float, float],
    colour: str,
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
    width: int,
) -> None:
    """On a ground of the colour, moved so that it is not cut off."""
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    x = max(0.0, min(corner[0], width - (right - left) - 2))
    y = max(0.0, corner[1] - (bottom - top) - 3)
    pen.rectangle([x, y, x + right - left + 2, y + bottom - top + 3], fill=colour)
    pen.text((x + 1 - left, y + 1 - top), text, fill="black", font=font)
