"""Pictures and boxes as COCO and LVIS list them, in one JSON; every entry is used or counted.

Lin et al. 2014 (arXiv 1405.0312); Gupta et al. 2019 (arXiv 1908.03195). Boxes are left, top, width
and height. LVIS names the file of a picture by "file_name" in v0.5 and by "coco_url" in v1; its
"neg_category_ids" were looked for in vain, and of "not_exhaustive_category_ids" not all objects
are marked. Nothing is put right: a box that reaches beyond its picture stays as it is stated, as
in every published figure.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.bounded_json import read_json
from data_pipelines.detection.annotations import Annotations, ObjectMask, no_annotations
from data_pipelines.detection.masks import area_of, mask_of_json
from data_pipelines.detection.splits import split_vocabulary
from data_pipelines.detection.vocabulary import Vocabulary, vocabulary_of
from data_pipelines.errors import BadSampleError, DataError
from data_pipelines.field_types import is_finite_number
from data_pipelines.skips import Skips

#: COCO's training file has some 50 million values in 450 MB, LVIS v1's twice as many in 1.1 GB.
_MOST_BYTES = 4 << 30
_MOST_VALUES = 500_000_000

_REACHES_BEYOND = "boxes that reach beyond their picture, kept as they are"
_SLACK = 1.0  # pixels; rounding in the source
_MOST_PIXELS = 1e7  # of a coordinate; from 2^24 on, 32 bits do not hold every whole number

_COCO_NAMES = ("COCO_train2014_", "COCO_val2014_", "COCO_test2014_")


class ListedPicture(NamedTuple):
    """One picture of the list.

    Attributes:
        names: paths to look for its file by, the likeliest first.
        annotations: what is marked in it.
    """

    names: tuple[str, ...]
    annotations: Annotations


@dataclass(frozen=True, kw_only=True, slots=True)
class AnnotationFile:
    """What an annotation file lists.

    Args:
        vocabulary: with groups, without the names that the split leaves out.
        pictures: in the order of the file.
    """

    vocabulary: Vocabulary
    pictures: tuple[ListedPicture, ...]


def read_annotation_file(path: Path, skips: Skips, *, split: str = "auto") -> AnnotationFile:
    """Read COCO's or LVIS's instances, or any file of that form.

    Args:
        skips: filled with what is left out; ``skips.inputs`` tells what was read.
        split: see ``data_pipelines.detection.splits``.
    Raises:
        DataError: it cannot be read, lacks a list, or the split does not fit.
    """
    content = _content(path)
    whole = vocabulary_of(content.get("categories"), where=str(path))
    reader = _Reader(whole, split_vocabulary(whole, split), skips)
    by_picture = _by_picture(content["annotations"], skips)
    pictures: list[ListedPicture] = []
    seen: set[int | str] = set()
    for entry in content["images"]:
        size, number = _size(entry), _id(entry, "id")
        if size is None or number is None:
            skips.add("picture without id, width or height", str(entry)[:80])
        elif number in seen:
            skips.add("picture listed twice", f"id {number}")
        else:
            seen.add(number)
            own = by_picture.pop(number, [])
            pictures.append(ListedPicture(_names(entry), reader.read(entry, size, own)))
    for number, rest in by_picture.items():
        for _ in rest if number not in seen else ():
            skips.add("annotation of a picture that is not listed", f"image_id {number}")
    skips.read("pictures listed", len(content["images"]))
    skips.read("annotations listed", len(content["annotations"]))
    if not pictures:
        raise DataError(f"{path} lists no usable picture; 'images' needs id, width and height")
    return AnnotationFile(vocabulary=reader.vocabulary, pictures=tuple(pictures))


class _Reader:
    """Annotations of one picture after another, in rows of the vocabulary."""

    def __init__(self, whole: Vocabulary, vocabulary: Vocabulary, skips: Skips) -> None:
        self.vocabulary = vocabulary
        self._skips = skips
        self._known = frozenset(whole.source_ids)

    def read(
        self, entry: Mapping[str, Any], size: tuple[int, int], listed: list[dict[str, Any]]
    ) -> Annotations:
        """What is marked in one picture."""
        found = [one for own in listed if (one := self._object(own, size)) is not None]
        if not listed:
            self._skips.read("pictures without annotations, kept")
        empty = no_annotations(size, entry["id"])._replace(
            not_exhaustive=self._rows(entry, "not_exhaustive_category_ids") or (),
            negatives=self._rows(entry, "neg_category_ids"),
        )
        if not found:
            return empty
        masks = tuple(one.mask for one in found)
        return empty._replace(
            boxes=np.array([one.box for one in found], np.float32),
            labels=np.array([one.label for one in found], np.int64),
            is_crowd=np.array([one.is_crowd for one in found], np.bool_),
            areas=np.array([one.area for one in found], np.float64),
            masks=masks if any(mask is not None for mask in masks) else None,
        )

    def _object(self, entry: dict[str, Any], size: tuple[int, int]) -> "_Object | None":
        where = f"annotation {entry.get('id', '?')} of picture {entry.get('image_id')}"
        number = _id(entry, "category_id")
        if number is None or number not in self._known:
            self._skips.add("unknown category id", f"{where}: {str(entry.get('category_id'))[:40]}")
            return None
        if number not in self.vocabulary.row_of_id:
            self._skips.add("category outside the split", f"{where}: id {number}")
            return None
        sides = entry.get("bbox")
        if not isinstance(sides, list) or len(sides) != 4 or not all(map(_is_coordinate, sides)):
            self._skips.add("broken box", f"{where}: {str(sides)[:60]}")
            return None
        left, top, width, height = map(float, sides)
        if width <= 0 or height <= 0:
            self._skips.add("box without area", f"{where}: {sides}")
            return None
        box = (left, top, left + width, top + height)
        if box[2] <= 0 or box[3] <= 0 or left >= size[1] or top >= size[0]:
            self._skips.add("box outside its picture", f"{where}: {sides} in {size[1]}x{size[0]}")
            return None
        if min(box) < -_SLACK or box[2] > size[1] + _SLACK or box[3] > size[0] + _SLACK:
            self._skips.read(_REACHES_BEYOND)
        mask = self._mask(entry, size, where)
        row = self.vocabulary.row_of_id[number]
        return _Object(box, row, bool(entry.get("iscrowd")), _area(entry, mask, box, size), mask)

    def _mask(self, entry: Mapping[str, Any], size: tuple[int, int], where: str) -> ObjectMask:
        """A box whose mask is broken stays without one."""
        try:
            return mask_of_json(entry.get("segmentation"), size)
        except BadSampleError as error:
            self._skips.add("broken mask, its box is kept", f"{where}: {error}")
            return None

    def _rows(self, entry: Mapping[str, Any], name: str) -> tuple[int, ...] | None:
        """Rows of the ids of a list; None where the picture has no such list."""
        listed = entry.get(name)
        if not isinstance(listed, list):
            if listed is not None:
                self._skips.add(f"{name} is no list", f"picture {entry.get('id')}")
            return None
        rows: dict[int, None] = {}
        for number in listed:
            if type(number) not in (int, str) or number not in self._known:
                self._skips.add(f"unknown category id in {name}", f"picture {entry.get('id')}")
            elif (row := self.vocabulary.row_of_id.get(number)) is not None:
                rows[row] = None
        return tuple(rows)


class _Object(NamedTuple):
    """One annotation; the box as left, top, right and bottom."""

    box: tuple[float, float, float, float]
    label: int
    is_crowd: bool
    area: float
    mask: ObjectMask


def _content(path: Path) -> dict[str, Any]:
    if path.is_dir():
        raise DataError(f"{path} is a folder; name the annotation JSON in it")
    try:
        content = read_json(path, most_bytes=_MOST_BYTES, most_values=_MOST_VALUES)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; check the path") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is no readable JSON: {error}") from error
    found = content if isinstance(content, dict) else {}
    for name in ("images", "annotations"):
        if not isinstance(found.get(name), list):
            listed = ", ".join(map(str, found))[:80] or type(content).__name__
            raise DataError(
                f"{path} has no list '{name}' (found: {listed}); give the instances JSON of COCO "
                "or LVIS"
            )
    return found


def _by_picture(annotations: list[Any], skips: Skips) -> dict[int | str, list[dict[str, Any]]]:
    found: dict[int | str, list[dict[str, Any]]] = defaultdict(list)
    for entry in annotations:
        number = _id(entry, "image_id")
        if number is not None:
            found[number].append(entry)
        else:
            skips.add("annotation without image_id", str(entry)[:80])
    return found


def _names(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """By "file_name", then by the end of "coco_url", which pictures of COCO 2017 are called by."""
    found: list[str] = []
    if isinstance(name := entry.get("file_name"), str):
        found.append(name)
    if isinstance(address := entry.get("coco_url"), str):
        found.append("/".join(address.rsplit("/", 2)[-2:]))
    if found and found[0].startswith(_COCO_NAMES):
        found.append(found[0].rpartition("_")[2])
    return tuple(dict.fromkeys(name for name in found if name)) or (f"{entry['id']}.jpg",)


def _area(
    entry: Mapping[str, Any],
    mask: ObjectMask,
    box: tuple[float, float, float, float],
    size: tuple[int, int],
) -> float:
    """As stated, else of the mask, else of the box; pixels squared."""
    stated = entry.get("area")
    if stated is not None and is_finite_number(stated) and stated >= 0:
        return float(stated)
    if mask is not None:
        return area_of(mask, size)
    return (box[2] - box[0]) * (box[3] - box[1])


def _size(entry: Any) -> tuple[int, int] | None:
    own: dict[str, Any] = entry if isinstance(entry, dict) else {}
    height: Any = own.get("height")
    width: Any = own.get("width")
    if not all(type(side) is int and 0 < side < 1 << 20 for side in (height, width)):
        return None
    return height, width


def _id(entry: Any, name: str) -> int | str | None:
    value: Any = entry.get(name) if isinstance(entry, dict) else None
    return value if type(value) in (int, str) else None


def _is_coordinate(value: Any) -> bool:
    return is_finite_number(value) and abs(value) <= _MOST_PIXELS
