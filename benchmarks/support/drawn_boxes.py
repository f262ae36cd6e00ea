"""Boxes drawn into a picture, and where their edges are found after a transform.

Each of the three colours of a picture holds one rectangle, so that what was drawn where can be told
from the pixels alone. Resampling spreads an edge over some pixels and keeps its sum: counted from
the middle of the rectangle, the sum tells the edge to a small part of a pixel.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.detection.annotations import Annotations
from data_pipelines.detection.geometry import Marked, Transform, marked, transformed
from data_pipelines.detection.masks import box_of_mask, rle_of_pixels

#: Sides of a rectangle, in pixels of the canvas, from which its edges are looked for in pixels.
_SEEN_FROM = 4.0

Apply = Callable[[Marked, Transform], Marked]


class Errors(NamedTuple):
    """Largest differences of one or many transforms, in pixels.

    Attributes:
        back: of boxes that went there and back, in pixels of the picture.
        drawn: of drawn edges from their box, in pixels of the canvas; 0 where none was seen.
        regions: of drawn edges from their cached region.
        run_lengths: of the edges of masks as run lengths from their box.
        outlines: of the corners of masks as polygons from their box.
        num_seen: rectangles whose drawn edges were looked for.
    """

    back: float = 0.0
    drawn: float = 0.0
    regions: float = 0.0
    run_lengths: float = 0.0
    outlines: float = 0.0
    num_seen: int = 0

    @property
    def largest(self) -> float:
        """Of all kinds."""
        return max(self.back, self.drawn, self.regions, self.run_lengths, self.outlines)

    def joined(self, other: "Errors") -> "Errors":
        """Of two sets of transforms."""
        largest = (max(one, two) for one, two in zip(self[:5], other[:5], strict=True))
        return Errors(*largest, num_seen=self.num_seen + other.num_seen)


def drawn_picture(rng: np.random.Generator, size: tuple[int, int]) -> Marked:
    """A black picture with a full rectangle in each colour, marked by box, masks and region.

    Of each rectangle there are two objects: its mask as run lengths and as an outline.
    """
    height, width = size
    pixels = np.zeros((height, width, 3), np.uint8)
    boxes, masks = [], []
    for colour in range(3):
        left, right = _span(rng, width)
        top, bottom = _span(rng, height)
        pixels[top:bottom, left:right, colour] = 255
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        boxes += [[left, top, right, bottom]] * 2
        masks += [rle_of_pixels(pixels[..., colour] > 0), (np.array(corners, np.float64),)]
    found = np.array(boxes, np.float32)
    annotations = Annotations(
        size=size,
        boxes=found,
        labels=np.repeat(np.arange(3), 2),
        is_crowd=np.zeros(6, np.bool_),
        areas=(found[:, 2:] - found[:, :2]).prod(axis=1).astype(np.float64),
        masks=tuple(masks),
    )
    return marked(pixels, annotations, found[::2].copy())


def errors_of(picture: Marked, transform: Transform, apply: Apply = transformed) -> Errors:
    """How far pixels, boxes, masks and regions are from one another after a transform."""
    found = apply(picture, transform)
    there = transform.boxes(picture.annotations.boxes)
    back = transform.inverse().boxes(there)
    errors = Errors(back=float(np.abs(back - picture.annotations.boxes).max()))
    annotations = found.annotations
    for row, (box, label) in enumerate(
        zip(annotations.boxes, annotations.labels.tolist(), strict=True)
    ):
        assert annotations.masks is not None
        errors = errors.joined(_of_mask(annotations.masks[row], box, annotations.size, transform))
        if row and annotations.labels[row - 1] == label:
            continue
        assert found.pixels is not None
        edges = _edges(found.pixels[..., label], box, there[2 * label], transform)
        if edges is not None:
            region = found.regions[label]
            own = Errors(drawn=_largest(edges, box), regions=_largest(edges, region), num_seen=1)
            errors = errors.joined(own)
    return errors


def _span(rng: np.random.Generator, side: int) -> tuple[int, int]:
    length = int(rng.integers(max(2, side // 8), side + 1))
    low = int(rng.integers(0, side - length + 1))
    return low, low + length


def _of_mask(mask: Any, box: np.ndarray, size: tuple[int, int], transform: Transform) -> Errors:
    if isinstance(mask, tuple) and not hasattr(mask, "counts"):
        corners = np.asarray(mask[0])
        low, high = corners.min(axis=0), corners.max(axis=0)
        left, top, right, bottom = transform.window
        cut = np.concatenate([low, high]).clip([left, top] * 2, [right, bottom] * 2)
        return Errors(outlines=_largest(cut, box))
    edges = np.array(box_of_mask(mask, size))
    # what covers no centre of a pixel has no pixels
    return Errors(run_lengths=_largest(edges, box)) if edges.any() else Errors()


def _edges(
    pixels: np.ndarray, box: np.ndarray, uncut: np.ndarray, transform: Transform
) -> np.ndarray | None:
    """Left, top, right and bottom of what is drawn; None where the box is too small to tell, NaN
    for an edge so near to the end of what is shown that part of it is cut off."""
    reach = np.maximum(np.abs([transform.x.scale, transform.y.scale]), 1.0)
    if (box[2:] - box[:2] < np.maximum(_SEEN_FROM, 2 * reach)).any():
        return None
    share = pixels.astype(np.float64) / 255
    middle_x, middle_y = round(float(box[0] + box[2]) / 2), round(float(box[1] + box[3]) / 2)
    left, right = _ends(share[middle_y - 1 : middle_y + 1].mean(axis=0), middle_x)
    top, bottom = _ends(share[:, middle_x - 1 : middle_x + 1].mean(axis=1), middle_y)
    distance = np.abs(uncut - np.array(transform.window, np.float32))
    is_cut = (distance > 0) & (distance < np.tile(reach, 2))
    return np.where(is_cut, np.nan, [left, top, right, bottom])


def _ends(profile: np.ndarray, middle: int) -> tuple[float, float]:
    return middle - profile[:middle].sum(), middle + profile[middle:].sum()


def _largest(edges: np.ndarray, box: np.ndarray) -> float:
    """Of the edges that are known."""
    known = ~np.isnan(edges)
    return float(np.abs(edges - box)[known].max(initial=0.0))
