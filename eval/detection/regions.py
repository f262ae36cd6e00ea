"""Marked and found regions of a whole data set in columns, and the rules of who counts.

Two protocols. **COCO**: every class was looked for in every picture; crowds are neither right nor
wrong. **Federated** (LVIS; Gupta et al. 2019, arXiv 1908.03195): a picture says which classes it
shows and of which it was verified that they are absent; what is found of other classes is dropped,
and of classes that are not marked exhaustively an unmatched find counts neither for nor against.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from eval.contract import MaskRle


class Truth(NamedTuple):
    """What is marked in all pictures, one row a region.

    Attributes:
        images: number of the picture of each region, ascending.
        labels: row of the vocabulary.
        boxes: left, top, width, height in pixels: the form of COCO's files, so that areas and
            overlaps round as theirs do.
        areas: pixels squared, as the file states them.
        is_crowd: a group that was not taken apart; LVIS has none, and where a federated set has
            some they count as COCO's do.
        num_images: pictures, those without regions included.
        num_classes: rows of the vocabulary.
        masks: of each region, None for boxes alone.
        absent: pairs (picture, class) verified to be absent; None under COCO's protocol.
        not_exhaustive: pairs (picture, class) of which not every region is marked.
    """

    images: Int64[np.ndarray, " regions"]
    labels: Int64[np.ndarray, " regions"]
    boxes: Float64[np.ndarray, "regions 4"]
    areas: Float64[np.ndarray, " regions"]
    is_crowd: Bool[np.ndarray, " regions"]
    num_images: int
    num_classes: int
    masks: list[MaskRle] | None = None
    absent: Int64[np.ndarray, "absent 2"] | None = None
    not_exhaustive: Int64[np.ndarray, "open 2"] | None = None

    @property
    def is_federated(self) -> bool:
        """Which protocol holds."""
        return self.absent is not None

    def pairs(self, images: np.ndarray, labels: np.ndarray) -> Int64[np.ndarray, " pairs"]:
        """One number for each picture and class; they sort by class, then by picture."""
        return labels.astype(np.int64) * self.num_images + images


class Found(NamedTuple):
    """What a detector found in all pictures, one row a find.

    Attributes:
        images: number of the picture.
        labels: row of the vocabulary.
        boxes: left, top, width, height in pixels.
        scores: equal ones keep their order within a picture, and the order of the pictures.
        masks: None for boxes alone.
    """

    images: Int64[np.ndarray, " found"]
    labels: Int64[np.ndarray, " found"]
    boxes: Float64[np.ndarray, "found 4"]
    scores: Float64[np.ndarray, " found"]
    masks: list[MaskRle] | None = None

    def taken(self, rows: Int64[np.ndarray, " rows"]) -> "Found":
        """The rows asked for, in that order."""
        masks = None if self.masks is None else [self.masks[row] for row in rows.tolist()]
        return Found(
            self.images[rows], self.labels[rows], self.boxes[rows], self.scores[rows], masks
        )


def best_of_picture(found: Found, most: int) -> Found:
    """The best of each picture over all classes, as LVIS's rule cuts them.

    Args:
        most: finds of a picture that stay; those of a picture with fewer keep their order.
    """
    return found.taken(_best(found, found.images, most))


def best_of_class(found: Found, most: int) -> Found:
    """The best of each class over all pictures: fixed AP (Dave et al. 2021, arXiv 2102.01066)."""
    return found.taken(_best(found, found.labels, most))


def _best(found: Found, groups: np.ndarray, most: int) -> Int64[np.ndarray, " kept"]:
    order = np.lexsort((np.arange(len(groups)), -found.scores, groups))
    kept = order[places_within(groups[order]) < most]
    return np.sort(kept)


def places_within(groups: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
    """How many rows of the same group come before each row.

    Args:
        groups: equal numbers beside each other.
    """
    if not len(groups):
        return np.zeros(0, dtype=np.int64)
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    lengths = np.diff(np.r_[starts, len(groups)])
    return np.arange(len(groups)) - np.repeat(starts, lengths)


def known_classes(truth: Truth, found: Found) -> Found:
    """Without finds of classes that the federated protocol says nothing about in that picture."""
    if truth.absent is None:
        return found
    told = np.r_[
        truth.pairs(truth.images, truth.labels),
        truth.pairs(truth.absent[:, 0], truth.absent[:, 1]),
    ]
    is_known = np.isin(truth.pairs(found.images, found.labels), told)
    return found if is_known.all() else found.taken(np.flatnonzero(is_known))
