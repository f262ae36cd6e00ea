"""What was seen in each picture: objects with an attribute each, as JSON lines.

A line: ``{"uid", "name", "attribute", "score", "attribute_score", "box"}``. ``uid`` is what
``eval.xmai.records.uids_of`` calls the picture; the last three may be left out.
"""

import json
import math
from codecs import BOM_UTF8
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import parsed_json
from data_pipelines.shards.atomic import make_folder, replacing
from eval.errors import EvaluationError


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """One object, or one attribute of it: an object with three attributes takes three.

    Args:
        uid: of the picture.
        name: what the object is called ("dog", "tennis ball").
        attribute: what is true of it ("brown"); empty where none was looked for.
        score: confidence that the object is there, 0 to 1.
        attribute_score: confidence in the attribute, 0 to 1.
        box: left, top, right, bottom in pixels; None for the whole picture.
    """

    uid: str
    name: str
    attribute: str
    score: float = 1.0
    attribute_score: float = 1.0
    box: tuple[float, float, float, float] | None = None


Detections = Mapping[str, tuple[Detection, ...]]


def write_detections(path: Path, detections: Iterable[Detection]) -> int:
    """Write a file whole or not at all; returns how many there are.

    Raises:
        DataError: the folder cannot be written or the disk is full.
    """
    make_folder(path.parent)
    count = 0
    with replacing(path) as file:
        for detection in detections:
            file.write(json.dumps(asdict(detection), allow_nan=False).encode("ascii") + b"\n")
            count += 1
    return count


def read_detections(path: Path) -> Detections:
    """Detections by picture, in the order of the file.

    Raises:
        EvaluationError: no such file, or a line that is no detection.
    """
    try:
        lines = path.read_bytes().removeprefix(BOM_UTF8).split(b"\n")
    except OSError as error:
        raise EvaluationError(
            f"cannot read detections {path}: {error.strerror}; 'vlsuite xmai detect' writes them"
        ) from error
    found: dict[str, list[Detection]] = defaultdict(list)
    for number, line in enumerate(lines, start=1):
        if line.strip():
            detection = _detection(path, number, line)
            found[detection.uid].append(detection)
    return {uid: tuple(own) for uid, own in found.items()}


def _detection(path: Path, number: int, line: bytes) -> Detection:
    try:
        record = parsed_json(line)
        box = record.get("box")
        detection = Detection(
            uid=_text(record, "uid"),
            name=_text(record, "name"),
            attribute=_text(record, "attribute"),
            score=_share(record, "score"),
            attribute_score=_share(record, "attribute_score"),
            box=None if box is None else _box(box),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise EvaluationError(
            f"{path}, line {number} is no detection ({error}); see 'vlsuite xmai detect --help'"
        ) from error
    return detection


def _text(record: dict[str, Any], key: str) -> str:
    if not isinstance(record[key], str):
        raise TypeError(f"{key} is no text")
    return record[key]


def _share(record: dict[str, Any], key: str) -> float:
    value = float(record.get(key, 1.0))
    if not (math.isfinite(value) and 0 <= value <= 1):
        raise ValueError(f"{key} {value} is not between 0 and 1")
    return value


def _box(values: Any) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(value) for value in values)
    return left, top, right, bottom
