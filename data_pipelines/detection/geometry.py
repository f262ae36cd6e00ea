"""Scale, flip, crop and pad, of everything that lies in a picture, by one function and exactly.

A transform is one straight map of each axis, x' = scale x + shift, of which the horizontal scale
is negative where the picture is mirrored; so steps in a row are one transform, and each has an
exact inverse. ``transformed`` applies it to pixels, boxes, masks and cached regions at once: what
is drawn at a place lands where its box lands. The released ViLD turned regions apart from their
picture, and mirrored them in half of the pictures (tensorflow/tpu, vild_parser.py).

Coordinates are of edges, not of centres: pixel i covers i to i + 1.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image

from data_pipelines.detection.annotations import Annotations, ObjectMask, Polygons, Rle
from data_pipelines.detection.masks import pixels_of, rle_of_pixels

#: Share of a cached region's box that has to be in the picture: its vector is of all of it.
MIN_REGION_SHARE = 0.999

#: Share of an object's box that has to be in the picture for the object to count as there.
MIN_OBJECT_SHARE = 0.0

_SLACK = 1e-6  # pixels; rounding of edges that are whole numbers


class Marked(NamedTuple):
    """A picture and all that lies in it.

    Attributes:
        pixels: None where only coordinates are wanted.
        annotations: of ``size`` of the picture.
        regions: left, top, right, bottom of what vectors are cached of, in pixels.
        is_region_there: whether a region lies wholly in the picture; others are masked, not
            removed, so that rows stay those of the cache.
    """

    pixels: "UInt8[np.ndarray, 'height width 3'] | None"
    annotations: Annotations
    regions: "Float32[np.ndarray, 'm 4']"
    is_region_there: "Bool[np.ndarray, ' m']"


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """x' = scale x + shift, in pixels; a negative scale mirrors."""

    scale: float
    shift: float

    def inverse(self) -> "Axis":
        """x = (x' - shift) / scale."""
        return Axis(scale=1 / self.scale, shift=-self.shift / self.scale)

    def then(self, other: "Axis") -> "Axis":
        """This one first, the other on its result."""
        return Axis(scale=other.scale * self.scale, shift=other.scale * self.shift + other.shift)

    def span(self, low: float | int, high: float | int) -> tuple[float, float]:
        """Where an interval lands, its lower end first."""
        ends = (self.scale * low + self.shift, self.scale * high + self.shift)
        return float(min(ends)), float(max(ends))


@dataclass(frozen=True, kw_only=True, slots=True)
class Transform:
    """A map of a picture of one size onto a canvas of another.

    Args:
        source: height and width of the picture in pixels.
        target: height and width of the canvas in pixels.
        x, y: the map of each axis; the vertical one is not mirrored.
    """

    source: tuple[int, int]
    target: tuple[int, int]
    x: Axis
    y: Axis

    def inverse(self) -> "Transform":
        """The map back; boxes and points return to where they came from."""
        return Transform(
            source=self.target, target=self.source, x=self.x.inverse(), y=self.y.inverse()
        )

    def then(self, other: "Transform") -> "Transform":
        """This one first, the other on its canvas.

        Raises:
            ValueError: the other is of pictures of another size.
        """
        if other.source != self.target:
            raise ValueError(f"a transform of {other.source} after one onto {self.target}")
        return Transform(
            source=self.source,
            target=other.target,
            x=self.x.then(other.x),
            y=self.y.then(other.y),
        )

    @property
    def window(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the part of the canvas that shows the picture."""
        left, right = self.x.span(0, self.source[1])
        top, bottom = self.y.span(0, self.source[0])
        height, width = self.target
        return max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))

    def points(self, points: np.ndarray) -> np.ndarray:
        """Where points land, in 64 bits; the last axis is x, y."""
        scale, shift = (self.x.scale, self.y.scale), (self.x.shift, self.y.shift)
        return np.asarray(points, np.float64) * scale + shift

    def boxes(self, boxes: Float32[np.ndarray, "n 4"]) -> Float32[np.ndarray, "n 4"]:
        """Where boxes land, whether or not that is on the canvas."""
        corners = self.points(boxes.reshape(-1, 2, 2))
        low, high = corners.min(axis=1), corners.max(axis=1)
        return np.concatenate([low, high], axis=1).astype(np.float32)


def resized(source: tuple[int, int], target: tuple[int, int]) -> Transform:
    """The whole picture stretched to another height and width."""
    return Transform(
        source=source,
        target=target,
        x=Axis(scale=target[1] / source[1], shift=0.0),
        y=Axis(scale=target[0] / source[0], shift=0.0),
    )


def flipped(source: tuple[int, int]) -> Transform:
    """Left and right exchanged: x' = width - x."""
    return Transform(
        source=source,
        target=source,
        x=Axis(scale=-1.0, shift=float(source[1])),
        y=Axis(scale=1.0, shift=0.0),
    )


def placed(source: tuple[int, int], target: tuple[int, int], *, left: int, top: int) -> Transform:
    """A crop or a pad: the picture on a canvas with its upper left corner at (left, top).

    Args:
        left, top: pixels; negative ones cut off, positive ones leave an edge.
    """
    return Transform(
        source=source,
        target=target,
        x=Axis(scale=1.0, shift=float(left)),
        y=Axis(scale=1.0, shift=float(top)),
    )


def marked(
    pixels: UInt8[np.ndarray, "height width 3"] | None,
    annotations: Annotations,
    regions: Float32[np.ndarray, "m 4"] | None = None,
) -> Marked:
    """A picture as it is, with all its regions there.

    Raises:
        ValueError: the pixels are not of the size that the annotations are of.
    """
    if pixels is not None and pixels.shape[:2] != annotations.size:
        raise ValueError(f"pixels of {pixels.shape[:2]}, annotations of {annotations.size}")
    own = np.zeros((0, 4), np.float32) if regions is None else regions
    return Marked(pixels, annotations, own, np.ones(len(own), np.bool_))


def transformed(
    picture: Marked,
    transform: Transform,
    *,
    fill: tuple[int, int, int] = (0, 0, 0),
    min_object_share: float = MIN_OBJECT_SHARE,
    min_region_share: float = MIN_REGION_SHARE,
) -> Marked:
    """Pixels, boxes, masks and regions, moved together.

    Boxes are cut at the edge of what is shown; objects that are left without area are taken out.
    Areas become those of what is shown, by the share of the box. Masks keep their form: outlines
    are moved, run lengths are drawn anew.

    Args:
        fill: colour of the canvas where there is no picture.
        min_object_share: objects of whose box no more than this share is shown are taken out.
        min_region_share: regions of whose box less than this share is shown are masked.
    Raises:
        ValueError: the transform is of pictures of another size.
    """
    annotations = picture.annotations
    if annotations.size != transform.source:
        raise ValueError(f"a transform of {transform.source} for {annotations.size}")
    boxes, share = _shown(annotations.boxes, transform)
    is_kept = share > min_object_share
    kept = annotations.kept(is_kept)
    masks = kept.masks and tuple(_mask(mask, transform) for mask in kept.masks)
    scale = abs(transform.x.scale * transform.y.scale)
    regions, region_share = _shown(picture.regions, transform)
    return Marked(
        pixels=None if picture.pixels is None else _pixels(picture.pixels, transform, fill),
        annotations=kept._replace(
            size=transform.target,
            boxes=boxes[is_kept],
            areas=kept.areas * scale * share[is_kept],
            masks=masks,
        ),
        regions=regions,
        is_region_there=picture.is_region_there & (region_share >= min_region_share),
    )


def _shown(
    boxes: Float32[np.ndarray, "n 4"], transform: Transform
) -> tuple[Float32[np.ndarray, "n 4"], np.ndarray]:
    """Boxes cut at the window, and the share of each that is left; one without area has 0."""
    moved = transform.boxes(boxes)
    left, top, right, bottom = transform.window
    low = np.array([left, top, left, top], np.float32)
    high = np.array([right, bottom, right, bottom], np.float32)
    cut = np.clip(moved, low, np.maximum(low, high))
    # of the part inside the source picture, beyond which boxes may reach a little
    whole = _areas(np.clip(boxes, 0, np.tile(transform.source[::-1], 2).astype(np.float32)))
    whole = whole * abs(transform.x.scale * transform.y.scale)
    area = _areas(cut)
    return cut, np.where(whole > 0, np.minimum(area / np.maximum(whole, 1e-12), 1.0), 0.0)


def _areas(boxes: np.ndarray) -> np.ndarray:
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    return np.maximum(sides, 0.0).prod(axis=1)


def _mask(mask: ObjectMask, transform: Transform) -> ObjectMask:
    if mask is None:
        return None
    if not isinstance(mask, Rle):
        return _outlines(mask, transform)
    found = _resampled(pixels_of(mask, transform.source) * 255, transform, Image.Resampling.NEAREST)
    canvas = np.zeros(transform.target, np.bool_)
    if found is not None:
        rows, columns, pixels = found
        canvas[rows, columns] = pixels > 127
    return rle_of_pixels(canvas)


def _outlines(polygons: Polygons, transform: Transform) -> Polygons:
    return tuple(transform.points(polygon) for polygon in polygons)


def _pixels(
    pixels: UInt8[np.ndarray, "height width 3"],
    transform: Transform,
    fill: tuple[int, int, int],
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    canvas = np.empty((*transform.target, 3), np.uint8)
    canvas[:] = fill
    found = _resampled(pixels, transform, Image.Resampling.BILINEAR)
    if found is not None:
        rows, columns, shown = found
        canvas[rows, columns] = shown
    return canvas


def _resampled(
    pixels: np.ndarray, transform: Transform, how: Image.Resampling
) -> tuple[slice, slice, np.ndarray] | None:
    """What the canvas shows of the picture: rows, columns and pixels; None where nothing.

    Only pixels that lie wholly in the picture are drawn, from the part of it that they cover:
    nothing is enlarged to be cut off again.
    """
    left, top, right, bottom = transform.window
    columns = slice(int(np.ceil(left - _SLACK)), int(np.floor(right + _SLACK)))
    rows = slice(int(np.ceil(top - _SLACK)), int(np.floor(bottom + _SLACK)))
    if columns.start >= columns.stop or rows.start >= rows.stop:
        return None
    x = _within(transform.x.inverse().span(columns.start, columns.stop), transform.source[1])
    y = _within(transform.y.inverse().span(rows.start, rows.stop), transform.source[0])
    size = (columns.stop - columns.start, rows.stop - rows.start)
    drawn = Image.fromarray(pixels).resize(size, how, box=(x[0], y[0], x[1], y[1]))
    shown = np.asarray(drawn)
    return rows, columns, shown[:, ::-1] if transform.x.scale < 0 else shown


def _within(span: tuple[float, float], side: int) -> tuple[float, float]:
    return max(span[0], 0.0), min(span[1], float(side))
