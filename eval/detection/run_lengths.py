"""Masks as COCO's compressed run lengths: text and bytes to numbers.

The form is that of the COCO API's ``rleToString``: each count less the one two before it (from the
third on), five bits a character, the least first, the sixth bit says that more follow, 48 added.
"""

import numpy as np
from jaxtyping import Int64

from eval.contract import MaskRle
from eval.errors import EvaluationError

_LARGEST_SIDE = 1 << 16


def run_lengths(mask: MaskRle) -> Int64[np.ndarray, " runs"]:
    """Lengths of the runs down the columns; the first one, which may be 0, is outside the mask.

    Raises:
        EvaluationError: they do not fill the picture.
    """
    height, width = _size(mask)
    counts = mask["counts"]
    text = counts.encode("ascii", "replace") if isinstance(counts, str) else bytes(counts)
    lengths: list[int] = []
    value = shift = 0
    for byte in text:
        bits = byte - 48
        if not 0 <= bits < 64 or shift > 60:
            raise EvaluationError(f"a mask has the byte {byte}, which run lengths do not have")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    runs = np.array(lengths, dtype=np.int64)
    if shift or (runs < 0).any() or int(runs.sum()) != height * width:
        raise EvaluationError(
            f"the run lengths of a mask do not fill its {width} x {height} pixels; write masks "
            "with pycocotools.mask.encode"
        )
    return runs


def mask_area(mask: MaskRle) -> int:
    """Pixels inside."""
    return int(run_lengths(mask)[1::2].sum())


def _size(mask: MaskRle) -> tuple[int, int]:
    try:
        height, width = (int(side) for side in mask["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluationError("a mask lacks its size: height and width") from error
    if not (0 < height <= _LARGEST_SIDE and 0 < width <= _LARGEST_SIDE):
        raise EvaluationError(f"a mask of {width} x {height} pixels; give those of its picture")
    return height, width
