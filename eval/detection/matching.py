"""Which finds are right: pycocotools' and lvis-api's greedy matching, for all thresholds at once.

Finds of a picture and class are taken by score. Each takes the marked region it overlaps most among
those that are free (of equal overlaps the last), one that counts before one that does not (a crowd,
an area outside the range); a crowd is never used up. ``COCOeval.evaluateImg`` and
``LVISEval.evaluate_img`` do this for one threshold and range of areas after another.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt16

from eval.detection.overlap import box_overlaps, mask_overlaps
from eval.detection.regions import Found, Truth, known_classes, places_within
from eval.detection.run_lengths import mask_area

#: Least overlaps that AP averages over.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
#: Ranges of areas in pixels squared, ends included.
AREAS = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
#: The least overlap is never 1 itself.
_LARGEST_THRESHOLD = 1 - 1e-10


class Matched(NamedTuple):
    """Every find with its fate, sorted by class, then best first; ties by picture.

    Attributes:
        labels, images, scores: of each find.
        places: how many better finds of its class its picture has.
        is_right: bit t is set where the find takes a region at ``THRESHOLDS[t]``; for each range.
        is_out: bit t is set where it counts neither for nor against.
        rows: of the finds given to ``matched``.
        truth_labels, truth_images: of each pair of class and picture with a marked region.
        truth_counts: regions of the pair that count, for each range.
        num_images, num_classes: of the data set.
    """

    labels: Int64[np.ndarray, " found"]
    images: Int64[np.ndarray, " found"]
    scores: Float64[np.ndarray, " found"]
    places: Int64[np.ndarray, " found"]
    is_right: UInt16[np.ndarray, "areas found"]
    is_out: UInt16[np.ndarray, "areas found"]
    rows: Int64[np.ndarray, " found"]
    truth_labels: Int64[np.ndarray, " pairs"]
    truth_images: Int64[np.ndarray, " pairs"]
    truth_counts: Int64[np.ndarray, "areas pairs"]
    num_images: int
    num_classes: int


def matched(truth: Truth, found: Found) -> Matched:
    """Match all finds; boxes, or masks where both sides have them.

    Args:
        truth: what is marked.
        found: already cut to the finds of a picture or class that count.
    """
    found, rows = _known(truth, found)
    pairs = truth.pairs(found.images, found.labels)
    order = np.lexsort((np.arange(len(pairs)), -found.scores, pairs))
    found, rows, pairs = found.taken(order), rows[order], pairs[order]
    ranges = np.array(list(AREAS.values()))
    outside = _outside(_areas(found), ranges)
    if truth.not_exhaustive is not None and len(truth.not_exhaustive):
        still_open = truth.pairs(truth.not_exhaustive[:, 0], truth.not_exhaustive[:, 1])
        outside |= np.isin(pairs, still_open)
    every = np.uint16((1 << len(THRESHOLDS)) - 1)
    is_right = np.zeros(outside.shape, dtype=np.uint16)
    is_out = np.where(outside, every, np.uint16(0))
    marked_order = np.argsort(truth.pairs(truth.images, truth.labels), kind="stable")
    marked_pairs = truth.pairs(truth.images, truth.labels)[marked_order]
    does_not_count = _outside(truth.areas, ranges) | truth.is_crowd
    distinct, starts = np.unique(marked_pairs, return_index=True)
    ends = np.searchsorted(marked_pairs, distinct, side="right")
    firsts, lasts = (np.searchsorted(pairs, distinct, side=side) for side in ("left", "right"))
    for start, end, first, last in zip(
        starts.tolist(), ends.tolist(), firsts.tolist(), lasts.tolist(), strict=True
    ):
        if first == last:
            continue
        marks = marked_order[start:end]
        overlaps = _overlaps(truth, marks, found, slice(first, last))
        right, out = _taken(overlaps, does_not_count[:, marks], truth.is_crowd[marks])
        own = slice(first, last)
        is_right[:, own] = right
        is_out[:, own] = out | np.where(outside[:, own], every & ~right, np.uint16(0))
    counts = np.add.reduceat(~does_not_count[:, marked_order], starts, axis=1, dtype=np.int64) if (
        len(starts)
    ) else np.zeros((len(AREAS), 0), dtype=np.int64)  # fmt: skip
    best_first = np.lexsort((np.arange(len(pairs)), -found.scores, found.labels))
    places = places_within(pairs)
    return Matched(
        labels=found.labels[best_first],
        images=found.images[best_first],
        scores=found.scores[best_first],
        places=places[best_first],
        is_right=is_right[:, best_first],
        is_out=is_out[:, best_first],
        rows=rows[best_first],
        truth_labels=distinct // truth.num_images,
        truth_images=distinct % truth.num_images,
        truth_counts=counts,
        num_images=truth.num_images,
        num_classes=truth.num_classes,
    )


def _known(truth: Truth, found: Found) -> tuple[Found, Int64[np.ndarray, " found"]]:
    """Finds that the protocol knows something about, and their rows."""
    numbered = found._replace(masks=None, boxes=np.zeros((len(found.labels), 4)))
    numbered.boxes[:, 0] = np.arange(len(found.labels))
    rows = known_classes(truth, numbered).boxes[:, 0].astype(np.int64)
    return found.taken(rows), rows


def _areas(found: Found) -> Float64[np.ndarray, " found"]:
    if found.masks is None:
        return found.boxes[:, 2] * found.boxes[:, 3]
    return np.array([mask_area(mask) for mask in found.masks], dtype=np.float64)


def _outside(
    areas: Float64[np.ndarray, " regions"], ranges: Float64[np.ndarray, "areas 2"]
) -> Bool[np.ndarray, "areas regions"]:
    return (areas < ranges[:, :1]) | (areas > ranges[:, 1:])


def _overlaps(
    truth: Truth, marks: np.ndarray, found: Found, finds: slice
) -> Float64[np.ndarray, "found marked"]:
    is_crowd = truth.is_crowd[marks]
    if truth.masks is None or found.masks is None:
        return box_overlaps(found.boxes[finds], truth.boxes[marks], is_crowd)
    marked = [truth.masks[mark] for mark in marks.tolist()]
    return mask_overlaps(found.masks[finds], marked, is_crowd)


def _taken(
    overlaps: Float64[np.ndarray, "found marked"],
    does_not_count: Bool[np.ndarray, "areas marked"],
    is_crowd: Bool[np.ndarray, " marked"],
) -> tuple[UInt16[np.ndarray, "areas found"], UInt16[np.ndarray, "areas found"]]:
    """Bits of the thresholds at which each find, best first, takes a region; and one without count.

    All thresholds and ranges are one axis of states here, each with regions of its own in use.
    """
    num_areas, num_marked = does_not_count.shape
    least = np.minimum(THRESHOLDS, _LARGEST_THRESHOLD)[:, None]
    states = (len(THRESHOLDS), num_areas)
    is_free = np.ones((*states, num_marked), dtype=bool)
    right = np.zeros((num_areas, len(overlaps)), dtype=np.uint16)
    out = np.zeros_like(right)
    bits = (1 << np.arange(len(THRESHOLDS)))[:, None]
    levels, ranges = np.ogrid[: states[0], : states[1]]
    for find in np.flatnonzero((overlaps >= THRESHOLDS[0]).any(axis=1)).tolist():
        own = overlaps[find]
        may = is_free & (own >= least)[:, None, :]
        counted = may & ~does_not_count
        has_counted = counted.any(axis=2)
        choice = np.where(has_counted[..., None], counted, may)
        takes = choice.any(axis=2)
        if not takes.any():
            continue
        # Of equal overlaps the last one is taken.
        values = np.where(choice, own, -1.0)[..., ::-1]
        mark = num_marked - 1 - values.argmax(axis=2)
        is_free[levels, ranges, mark] &= ~takes | is_crowd[mark]
        right[:, find] = (takes * bits).sum(axis=0)
        out[:, find] = ((takes & does_not_count[ranges, mark]) * bits).sum(axis=0)
    return right, out
