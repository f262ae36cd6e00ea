"""What was found, as files: one JSON in COCO's form, and pictures with boxes drawn on them.

The JSON is an annotation file as ``vlsuite data build detection`` and others' tools read it, with
a "score" for each annotation; its pictures are the ones that were looked at, by file name.
"""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from data_pipelines.detection.annotations import Rle
from data_pipelines.detection.drawing import Drawn, colour_of, draw_regions
from data_pipelines.detection.masks import area_of, pixels_of
from data_pipelines.shards.atomic import make_folder, write_file
from eval.contract import Detections, MaskRle
from eval.detection.own_pictures import FoundPicture

FILE_NAME, PICTURES = "detections.json", "pictures"

_AS_THEY_ARE = (".jpg", ".jpeg", ".png")
_QUALITY = 92  # of JPEG


def coco_content(
    found: Sequence[FoundPicture], names: Sequence[str], about: Mapping[str, Any]
) -> dict[str, Any]:
    """All finds in COCO's form; ids count from 1, boxes are left, top, width and height.

    Args:
        about: what stands in "info".
    """
    annotations: list[dict[str, Any]] = []
    for number, one in enumerate(found, start=1):
        for row in range(len(one.found.scores)):
            own = _annotation(one.found, row)
            annotations.append({"id": len(annotations) + 1, "image_id": number} | own)
    return {
        "info": dict(about),
        "images": [
            {"id": number, "file_name": one.file_name, "height": one.size[0], "width": one.size[1]}
            for number, one in enumerate(found, start=1)
        ],
        "categories": [{"id": number, "name": name} for number, name in enumerate(names, start=1)],
        "annotations": annotations,
    }


def write_found(out: Path, content: Mapping[str, Any]) -> Path:
    """The JSON in a folder; one that is there is replaced.

    Raises:
        DataError: it cannot be written.
    """
    path = out / FILE_NAME
    write_file(path, (json.dumps(content, ensure_ascii=False) + "\n").encode())
    return path


def write_drawn(out: Path, picture: Image.Image, one: FoundPicture, names: Sequence[str]) -> Path:
    """The picture with its finds, under its own name; other formats than JPEG and PNG become PNG.

    Raises:
        DataError: it cannot be written.
    """
    is_kept = Path(one.file_name).suffix.lower() in _AS_THEY_ARE
    path = out / PICTURES / (one.file_name if is_kept else f"{one.file_name}.png")
    stream = io.BytesIO()
    is_png = path.suffix.lower() == ".png"
    options = {} if is_png else {"quality": _QUALITY}
    drawn = drawn_finds(picture, one.found, names)
    drawn.save(stream, "PNG" if is_png else "JPEG", **options)
    make_folder(path.parent)
    write_file(path, stream.getvalue())
    return path


def drawn_finds(picture: Image.Image, found: Detections, names: Sequence[str]) -> Image.Image:
    """A copy with boxes, masks where there are some, names and scores."""
    masks = found.masks or [None] * len(found.scores)
    rows = zip(
        found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), masks, strict=True
    )
    regions = [
        Drawn(
            tuple(box),
            f"{names[label]} {score:.2f}",
            colour_of(label),
            mask=None if mask is None else pixels_of(_rle(mask), _size(mask)) > 0,
        )
        for box, score, label, mask in rows
    ]
    return draw_regions(picture, regions)


def _annotation(found: Detections, row: int) -> dict[str, Any]:
    left, top, right, bottom = found.boxes[row].tolist()
    told: dict[str, Any] = {
        "category_id": int(found.labels[row]) + 1,
        "bbox": [round(one, 3) for one in (left, top, right - left, bottom - top)],
        "score": round(float(found.scores[row]), 6),
        "iscrowd": 0,
        "area": round((right - left) * (bottom - top), 3),
    }
    if found.masks is not None:
        mask = _rle(found.masks[row])
        told |= {"segmentation": mask.to_coco(), "area": area_of(mask, (mask.height, mask.width))}
    return told


def _rle(mask: MaskRle) -> Rle:
    counts = mask["counts"]
    return Rle(*_size(mask), counts if isinstance(counts, str) else bytes(counts).decode("ascii"))


def _size(mask: MaskRle) -> tuple[int, int]:
    height, width = mask["size"]
    return int(height), int(width)
