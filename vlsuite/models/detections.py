"""What a detector found in one picture; ``eval.contract`` has it under the same names."""

from typing import NamedTuple, TypedDict

from jaxtyping import Float32, Int64
from torch import Tensor


class MaskRle(TypedDict):
    """One mask in COCO's run lengths, as ``pycocotools.mask.encode`` gives it.

    Attributes:
        size: height and width of the picture.
        counts: compressed run lengths, column by column.
    """

    size: list[int]
    counts: bytes | str


class Detections(NamedTuple):
    """What a detector found in one picture, best first, on the CPU.

    Attributes:
        boxes: left, top, right, bottom in pixels of the picture as it was given; the upper left
            corner of the upper left pixel is (0, 0).
        scores: higher is surer; only their order within the data set counts.
        labels: rows of the vocabulary.
        masks: one a box; None for a detector that gives no masks.
    """

    boxes: Float32[Tensor, "detections 4"]
    scores: Float32[Tensor, " detections"]
    labels: Int64[Tensor, " detections"]
    masks: list[MaskRle] | None = None
