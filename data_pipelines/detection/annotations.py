"""What is marked in one picture: boxes, labels, masks, crowds, and what was looked for in vain."""

from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64


class Rle(NamedTuple):
    """A mask as COCO's compressed run lengths, of the size of its picture.

    Attributes:
        height: of the picture in pixels.
        width: of the picture in pixels.
        counts: compressed run lengths, down the columns (pycocotools' ASCII form).
    """

    height: int
    width: int
    counts: str

    def to_coco(self) -> dict[str, object]:
        """The dictionary that COCO's files and tools have: ``{"size": [height, width], ...}``."""
        return {"size": [self.height, self.width], "counts": self.counts}


#: Outlines of the parts of one object: x and y of each corner, in pixels of the picture.
Polygons: TypeAlias = tuple["Float64[np.ndarray, '_ 2']", ...]

#: A mask in the form its source has it; None where an object has none.
ObjectMask: TypeAlias = Rle | Polygons | None


class Annotations(NamedTuple):
    """The marked objects of one picture, by row; n may be 0.

    Attributes:
        size: height and width of the upright picture in pixels.
        boxes: left, top, right, bottom in pixels of the upright picture, from its upper left
            corner: a box of the whole picture is [0, 0, width, height].
        labels: rows of the vocabulary.
        is_crowd: whether a box stands for a group that was not taken apart (COCO's "iscrowd");
            detections on it count neither for nor against.
        areas: in pixels squared; of the mask, as the source states it, else of the box.
        masks: one for each row; None where no object of the picture has one.
        not_exhaustive: rows of the vocabulary of which not every object is marked (LVIS).
        negatives: rows of the vocabulary of which the picture has no object, as was verified
            (LVIS); None where the set is not federated: every category was looked for.
        picture_id: of the source; what results are matched by.
    """

    size: tuple[int, int]
    boxes: "Float32[np.ndarray, 'n 4']"
    labels: "Int64[np.ndarray, ' n']"
    is_crowd: "Bool[np.ndarray, ' n']"
    areas: "Float64[np.ndarray, ' n']"
    masks: tuple[ObjectMask, ...] | None = None
    not_exhaustive: tuple[int, ...] = ()
    negatives: tuple[int, ...] | None = None
    picture_id: int | str = ""

    @property
    def num_objects(self) -> int:
        """Number of marked objects, crowds among them."""
        return len(self.labels)

    def kept(self, is_kept: "Bool[np.ndarray, ' n']") -> "Annotations":
        """Those of the rows that are true."""
        masks = self.masks
        if masks is not None:
            masks = tuple(mask for mask, kept in zip(masks, is_kept, strict=True) if kept)
        return self._replace(
            boxes=self.boxes[is_kept],
            labels=self.labels[is_kept],
            is_crowd=self.is_crowd[is_kept],
            areas=self.areas[is_kept],
            masks=masks,
        )


def no_annotations(size: tuple[int, int], picture_id: int | str = "") -> Annotations:
    """Of a picture without a marked object.

    Args:
        size: height and width in pixels.
    """
    return Annotations(
        size=size,
        boxes=np.zeros((0, 4), np.float32),
        labels=np.zeros(0, np.int64),
        is_crowd=np.zeros(0, np.bool_),
        areas=np.zeros(0, np.float64),
        picture_id=picture_id,
    )
