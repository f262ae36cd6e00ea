"""Annotations as the json of a stored sample has them, and back.

"boxes" is the role of ``data_pipelines.schema``, so any reader of shards sees boxes and names:

    "boxes": [{"box": [left, top, right, bottom], "label": "dog", "area": 812.5,
               "crowd": true, "mask": polygons or {"size": [height, width], "counts": "..."}}],
    "picture": {"id": 139, "height": 427, "width": 640},
    "not_exhaustive": ["cup"], "negatives": ["bus"]

"area", "crowd" and "mask" may be absent, and so may "negatives" (not federated) and
"not_exhaustive" (none). A label may be the row of the vocabulary in place of its name.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from data_pipelines.detection.annotations import Annotations, no_annotations
from data_pipelines.detection.masks import mask_of_json, mask_to_json
from data_pipelines.detection.vocabulary import Vocabulary
from data_pipelines.errors import BadSampleError
from data_pipelines.schema import Box, JsonValue
from data_pipelines.shards.roles import boxes_of

_OWN = ("boxes", "picture", "not_exhaustive", "negatives")


def to_fields(annotations: Annotations, vocabulary: Vocabulary) -> dict[str, JsonValue]:
    """What is stored of the annotations of a picture; ``of_fields`` reads it back."""
    height, width = annotations.size
    fields: dict[str, JsonValue] = {
        "boxes": [_entry(annotations, row, vocabulary) for row in range(annotations.num_objects)],
        "picture": {"id": annotations.picture_id, "height": height, "width": width},
    }
    if annotations.not_exhaustive:
        fields["not_exhaustive"] = [vocabulary.names[row] for row in annotations.not_exhaustive]
    if annotations.negatives is not None:
        fields["negatives"] = [vocabulary.names[row] for row in annotations.negatives]
    return fields


def of_fields(fields: Mapping[str, JsonValue], vocabulary: Vocabulary) -> Annotations:
    """The annotations that the json of a sample holds.

    Raises:
        BadSampleError: "no boxes", "broken boxes", "broken mask", "unknown label" or "broken
            picture".
    """
    if fields.get("boxes") is None:
        raise BadSampleError(
            "no boxes",
            "json has no list 'boxes' (found: "
            f"{', '.join(list(fields)[:8]) or 'nothing'}); shards of boxes are built by 'vlsuite "
            "data build detection'",
        )
    size, number = _picture(fields)
    boxes = boxes_of(fields)
    entries: Any = fields["boxes"]
    extras: list[dict[str, Any]] = [one if isinstance(one, dict) else {} for one in entries]
    annotations = no_annotations(size, number)._replace(
        not_exhaustive=_rows(fields, "not_exhaustive", vocabulary) or (),
        negatives=_rows(fields, "negatives", vocabulary),
    )
    if not boxes:
        return annotations
    masks = tuple(mask_of_json(extra.get("mask"), size) for extra in extras)
    return annotations._replace(
        boxes=np.array([box[:4] for box in boxes], np.float32),
        labels=np.array([_row(box.label, vocabulary) for box in boxes], np.int64),
        is_crowd=np.array([extra.get("crowd") is True for extra in extras], np.bool_),
        areas=np.array(list(map(_area, boxes, extras)), np.float64),
        masks=masks if any(mask is not None for mask in masks) else None,
    )


def other_fields(fields: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What the json of a sample holds besides its annotations."""
    return {name: value for name, value in fields.items() if name not in _OWN}


def _entry(annotations: Annotations, row: int, vocabulary: Vocabulary) -> dict[str, JsonValue]:
    entry: dict[str, JsonValue] = {
        "box": [_short(side) for side in annotations.boxes[row]],
        "label": vocabulary.names[int(annotations.labels[row])],
        "area": float(annotations.areas[row]),
    }
    if annotations.is_crowd[row]:
        entry["crowd"] = True
    if annotations.masks is not None and (mask := annotations.masks[row]) is not None:
        entry["mask"] = mask_to_json(mask)
    return entry


def _short(side: np.float32) -> float:
    """The shortest decimal number that is this one in 32 bits."""
    return float(np.format_float_positional(side, unique=True, trim="0"))


def _picture(fields: Mapping[str, JsonValue]) -> tuple[tuple[int, int], int | str]:
    stored: Any = fields.get("picture")
    own: dict[str, Any] = stored if isinstance(stored, dict) else {}
    height: Any = own.get("height")
    width: Any = own.get("width")
    number: Any = own.get("id", "")
    is_size = type(height) is int and type(width) is int and height > 0 and width > 0
    if not is_size or type(number) not in (int, str):
        raise BadSampleError(
            "broken picture",
            'json needs "picture": {"id": ..., "height": pixels, "width": pixels} beside its boxes',
        )
    return (height, width), number


def _row(label: str | int | None, vocabulary: Vocabulary) -> int:
    row = vocabulary.row_of_name.get(label) if isinstance(label, str) else label
    if row is None or not 0 <= row < len(vocabulary):
        raise BadSampleError(
            "unknown label",
            f"{str(label)[:60]!r} is not in the vocabulary of {len(vocabulary)} names; use the "
            "categories.json that belongs to these shards",
        )
    return row


def _rows(
    fields: Mapping[str, JsonValue], name: str, vocabulary: Vocabulary
) -> tuple[int, ...] | None:
    listed: Any = fields.get(name)
    if listed is None:
        return None
    if not isinstance(listed, list) or not all(type(one) in (int, str) for one in listed):
        raise BadSampleError("broken boxes", f"'{name}' of json is no list of names")
    return tuple(_unique(_row(label, vocabulary) for label in listed))


def _unique(rows: Iterable[int]) -> Iterable[int]:
    return dict.fromkeys(rows)


def _area(box: Box, extra: Mapping[str, Any]) -> float:
    area = extra.get("area")
    if isinstance(area, int | float) and not isinstance(area, bool) and area >= 0:
        return float(area)
    return (box.right - box.left) * (box.bottom - box.top)
