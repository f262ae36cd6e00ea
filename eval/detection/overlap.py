"""Intersection over union of boxes and masks as pycocotools computes them, in float64.

Against a crowd it is intersection over the area of the find.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from eval.contract import MaskRle
from eval.detection.run_lengths import run_lengths


def box_overlaps(
    found: Float64[np.ndarray, "found 4"],
    marked: Float64[np.ndarray, "marked 4"],
    is_crowd: Bool[np.ndarray, " marked"],
) -> Float64[np.ndarray, "found marked"]:
    """Boxes as left, top, width, height; 0 where they only touch."""
    ends = found[:, None, :2] + found[:, None, 2:], marked[None, :, :2] + marked[None, :, 2:]
    sides = np.minimum(*ends) - np.maximum(found[:, None, :2], marked[None, :, :2])
    shared = np.where((sides > 0).all(axis=2), sides[..., 0] * sides[..., 1], 0.0)
    own = (found[:, 2] * found[:, 3])[:, None]
    union = np.where(is_crowd, own, own + marked[:, 2] * marked[:, 3] - shared)
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def mask_overlaps(
    found: Sequence[MaskRle], marked: Sequence[MaskRle], is_crowd: Bool[np.ndarray, " marked"]
) -> Float64[np.ndarray, "found marked"]:
    """Masks of one picture.

    Raises:
        EvaluationError: run lengths that do not fill the picture, or pictures of several sizes.
    """
    finds, marks = [_spans(mask) for mask in found], [_spans(mask) for mask in marked]
    overlaps = np.zeros((len(finds), len(marks)))
    for row, find in enumerate(finds):
        for column, mark in enumerate(marks):
            shared = _shared(find, mark)
            if shared:
                own, other = _covered(find), _covered(mark)
                overlaps[row, column] = shared / (own if is_crowd[column] else own + other - shared)
    return overlaps


def _spans(mask: MaskRle) -> Int64[np.ndarray, "spans 2"]:
    """First pixel of each run of the mask and the one after its last."""
    ends = np.cumsum(run_lengths(mask))
    starts = np.r_[0, ends[:-1]]
    return np.stack([starts, ends], axis=1)[1::2]


def _covered(spans: np.ndarray) -> int:
    return int((spans[:, 1] - spans[:, 0]).sum())


def _shared(one: np.ndarray, two: np.ndarray) -> int:
    """Pixels in both: those of the one below each end of the other, less those below its begin."""
    if not len(one) or not len(two):
        return 0
    below = _below(one, two.ravel()).reshape(-1, 2)
    return int((below[:, 1] - below[:, 0]).sum())


def _below(spans: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """How many pixels of the spans come before each pixel."""
    before = np.r_[0, np.cumsum(spans[:, 1] - spans[:, 0])]
    index = np.searchsorted(spans[:, 0], pixels, side="right")
    past = np.where(index > 0, spans[np.maximum(index - 1, 0), 1], 0)
    return before[index] - np.maximum(past - pixels, 0)
