"""Masks of objects: run lengths, polygons and pixels into one another, by COCO's own code.

pycocotools' ``mask`` module (Lin et al. 2014, arXiv 1405.0312) does all counting, so that areas
and overlaps are those of every published figure. It is imported when a mask is first needed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, UInt8

from data_pipelines.detection.annotations import ObjectMask, Polygons, Rle
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.schema import JsonValue

_MIN_CORNERS = 3

# What pycocotools takes at its word: it draws outlines point by point, five to a pixel.
_MAX_PIXELS = 1 << 28
_MAX_COORDINATE = 1e6  # pixels, to either side
_MAX_OUTLINE = 1e7  # pixels around all polygons of a mask


def mask_of_json(stored: JsonValue, size: tuple[int, int]) -> ObjectMask:
    """A mask as annotation files write it: polygons, or run lengths, compressed or not.

    Polygons of fewer than three corners are left out, as pycocotools does.

    Args:
        stored: "segmentation" of COCO and LVIS.
        size: height and width of the picture.
    Returns:
        None where nothing is stored.
    Raises:
        BadSampleError: "broken mask".
    """
    if stored is None or stored == []:
        return None
    if size[0] * size[1] > _MAX_PIXELS:
        raise BadSampleError("broken mask", f"of a picture of {size[0]} x {size[1]} pixels")
    if isinstance(stored, dict):
        return _rle_of_json(stored, size)
    if not isinstance(stored, list):
        raise BadSampleError("broken mask", f"neither polygons nor run lengths: {_shown(stored)}")
    polygons = tuple(_polygon(part) for part in stored)
    length = sum(float(np.abs(one - np.roll(one, 1, axis=0)).sum()) for one in polygons)
    if length > _MAX_OUTLINE:
        raise BadSampleError("broken mask", f"outlines of {length:,.0f} pixels")
    return tuple(one for one in polygons if len(one) >= _MIN_CORNERS) or None


def mask_to_json(mask: ObjectMask) -> JsonValue:
    """The mask as annotation files write it; what ``mask_of_json`` reads back unchanged."""
    if mask is None:
        return None
    if isinstance(mask, Rle):
        return {"size": [mask.height, mask.width], "counts": mask.counts}
    return [polygon.ravel().tolist() for polygon in mask]


def rle_of(mask: Rle | Polygons, size: tuple[int, int]) -> Rle:
    """The mask as compressed run lengths.

    Args:
        size: height and width of the picture.
    """
    if isinstance(mask, Rle):
        return mask
    coded = _pycocotools()
    flat = [polygon.ravel().tolist() for polygon in mask]
    return _from_coco(coded.merge(coded.frPyObjects(flat, *size)))


def rle_of_pixels(pixels: Bool[np.ndarray, "height width"]) -> Rle:
    """Run lengths of what is true."""
    return _from_coco(_pycocotools().encode(np.asfortranarray(pixels, dtype=np.uint8)))


def pixels_of(mask: Rle | Polygons, size: tuple[int, int]) -> UInt8[np.ndarray, "height width"]:
    """1 where the object is, else 0.

    Args:
        size: height and width of the picture.
    """
    return _pycocotools().decode(rle_of(mask, size).to_coco())


def area_of(mask: Rle | Polygons, size: tuple[int, int]) -> float:
    """Pixels of the mask."""
    return float(_pycocotools().area(rle_of(mask, size).to_coco()))


def box_of_mask(mask: Rle | Polygons, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the pixels of the mask; all 0 where it has none."""
    left, top, width, height = _pycocotools().toBbox(rle_of(mask, size).to_coco()).tolist()
    return left, top, left + width, top + height


def _rle_of_json(stored: dict[str, Any], size: tuple[int, int]) -> Rle:
    listed, counts = stored.get("size"), stored.get("counts")
    if listed != list(size):
        raise BadSampleError(
            "broken mask", f"run lengths of size {_shown(listed)} for a picture of {list(size)}"
        )
    if isinstance(counts, str):
        rle = Rle(*size, counts)
        _check_counts(_uncompressed(counts), size)
        return rle
    if not isinstance(counts, list) or not all(type(n) is int and n >= 0 for n in counts):
        raise BadSampleError("broken mask", f"run lengths are no counts: {_shown(counts)}")
    _check_counts(counts, size)
    return _from_coco(_pycocotools().frPyObjects({"size": list(size), "counts": counts}, *size))


def _check_counts(counts: Sequence[int], size: tuple[int, int]) -> None:
    """Refused here: pycocotools writes past the end of a mask whose runs are too long."""
    height, width = size
    if any(count < 0 for count in counts) or sum(counts) != height * width:
        raise BadSampleError(
            "broken mask", f"run lengths of {sum(counts):,} pixels for {height} x {width}"
        )


def _uncompressed(counts: str) -> list[int]:
    """Run lengths of COCO's ASCII form: 5 bits a character from 48 on, bit 5 for "goes on", the
    last bit of a number its sign; from the fourth on, each is a difference to the second before.
    """
    found: list[int] = []
    value = shift = 0
    for code in counts.encode("ascii", "replace"):
        code -= 48
        if not 0 <= code < 64:
            raise BadSampleError("broken mask", "run lengths hold another character than COCO's")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            if shift > 60:
                raise BadSampleError("broken mask", "a run length does not end")
            continue
        if code & 16:
            value -= 1 << shift
        found.append(value + found[-2] if len(found) > 2 else value)
        value = shift = 0
    if shift:
        raise BadSampleError("broken mask", "run lengths end in the middle of a number")
    return found


def _polygon(part: JsonValue) -> Float64[np.ndarray, "corners 2"]:
    try:
        flat = np.asarray(part, np.float64)
    except (TypeError, ValueError, OverflowError):
        flat = np.zeros(1)
    # NaN is not below either
    if flat.ndim != 1 or len(flat) % 2 or not (np.abs(flat) < _MAX_COORDINATE).all():
        raise BadSampleError("broken mask", f"a polygon is no list of x, y: {_shown(part)}")
    return flat.reshape(-1, 2)


def _from_coco(coded: dict[str, Any]) -> Rle:
    height, width = coded["size"]
    counts = coded["counts"]
    return Rle(int(height), int(width), counts.decode() if isinstance(counts, bytes) else counts)


def _pycocotools() -> Any:
    try:
        from pycocotools import mask
    except ImportError as error:
        raise DataError(
            f"masks need the package pycocotools ({error}); install it: pip install pycocotools"
        ) from error
    return mask


def _shown(value: JsonValue) -> str:
    return " ".join(repr(value).split())[:80]
