"""Precision and recall from matched finds, each picture weighted: AP of a data set or a resample.

``COCOeval.accumulate`` with a weight for each picture: with weights of 1 it is that, with the
number of times that each picture was drawn it is the AP of a bootstrap resample, without matching
anything again (the copies of a picture are one block: of finds of equal score in one picture, all
copies of the first come before those of the second). Precision at a recall is the highest one at that recall or beyond, read at 101 of
them; only finds that are right can hold it, so that the work of a resample is one running sum over
all finds and ten over the right ones.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from eval.detection.matching import THRESHOLDS, Matched

#: Recalls at which precision is read.
RECALLS = np.linspace(0.0, 1.0, 101)
_TINY = np.spacing(1.0)
_MOST_NUMBERS = 4_000_000


class ClassFigures(NamedTuple):
    """Of each class in each resample; NaN where a resample has no region of the class.

    Attributes:
        precision: averaged over recalls.
        recall: of all finds.
    """

    precision: Float64[np.ndarray, "resamples thresholds classes"]
    recall: Float64[np.ndarray, "resamples thresholds classes"]


def class_figures(
    found: Matched,
    weights: Int64[np.ndarray, "resamples images"],
    *,
    area: int = 0,
    most: int | None = None,
) -> ClassFigures:
    """Average precision and recall of every class under each row of weights.

    Args:
        found: matched finds.
        weights: how often each picture counts.
        area: number of the range of areas.
        most: finds of a picture and class that count; None for all.
    """
    shape = (len(weights), len(THRESHOLDS), found.num_classes)
    figures = ClassFigures(np.full(shape, np.nan), np.full(shape, np.nan))
    kept = np.flatnonzero(found.places < most) if most is not None else np.arange(len(found.labels))
    labels = found.labels[kept]
    for label in np.unique(found.truth_labels).tolist():
        first, last = np.searchsorted(labels, [label, label + 1])
        own = kept[first:last]
        truths = slice(*np.searchsorted(found.truth_labels, [label, label + 1]))
        step = max(_MOST_NUMBERS // max(len(own), 1), 1)
        for start in range(0, len(weights), step):
            rows = slice(start, start + step)
            counts = found.truth_counts[area, truths]
            marked = weights[rows][:, found.truth_images[truths]] @ counts
            ap, ar = _one_class(found, own, weights[rows], marked.astype(np.float64), area)
            figures.precision[rows, :, label] = ap
            figures.recall[rows, :, label] = ar
    return figures


def _one_class(
    found: Matched, own: np.ndarray, weights: np.ndarray, marked: np.ndarray, area: int
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and recall at each threshold, [resamples, thresholds]."""
    drawn = weights[:, found.images[own]].astype(np.float64)
    right, out = found.is_right[area, own], found.is_out[area, own]
    is_there = marked > 0
    below = np.where(is_there, marked, 1.0)[:, None]
    precision = np.full((len(weights), len(THRESHOLDS)), np.nan)
    recall = np.full_like(precision, np.nan)
    sums: dict[bytes, np.ndarray] = {}
    for level in range(len(THRESHOLDS)):
        counts = (out >> level) & 1 == 0
        hits = np.flatnonzero(counts & ((right >> level) & 1 == 1))
        key = counts.tobytes()
        if key not in sums:
            sums = {key: np.cumsum(drawn * counts, axis=1)}
        true = np.cumsum(drawn[:, hits], axis=1)
        reached = true / below
        share = true / (sums[key][:, hits] + _TINY)
        best = np.maximum.accumulate(share[:, ::-1], axis=1)[:, ::-1]
        num_read = np.searchsorted(RECALLS, reached, side="right")
        read = np.diff(num_read, axis=1, prepend=0)
        precision[:, level] = (read * best).sum(axis=1) / len(RECALLS)
        recall[:, level] = reached[:, -1] if len(hits) else 0.0
    precision[~is_there], recall[~is_there] = np.nan, np.nan
    return precision, recall


def precision_curves(
    found: Matched, *, area: int = 0, most: int | None = None
) -> Float64[np.ndarray, "thresholds recalls classes"]:
    """Interpolated precision at 101 recalls, every picture counted once; NaN without regions."""
    curves = np.full((len(THRESHOLDS), len(RECALLS), found.num_classes), np.nan)
    kept = np.flatnonzero(found.places < most) if most is not None else np.arange(len(found.labels))
    totals = np.bincount(
        found.truth_labels, weights=found.truth_counts[area], minlength=found.num_classes
    )
    for label in np.flatnonzero(totals).tolist():
        own = kept[slice(*np.searchsorted(found.labels[kept], [label, label + 1]))]
        for level in range(len(THRESHOLDS)):
            counts = (found.is_out[area, own] >> level) & 1 == 0
            is_hit = counts & ((found.is_right[area, own] >> level) & 1 == 1)
            true, all_counted = np.cumsum(is_hit), np.cumsum(counts)
            share = true / (all_counted + _TINY)
            best = np.maximum.accumulate(share[::-1])[::-1]
            first = np.searchsorted(true / totals[label], RECALLS, side="left")
            curves[level, :, label] = np.r_[best, 0.0][first]
    return curves
