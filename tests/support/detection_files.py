"""Miniature annotation files as COCO and LVIS distribute them, with pictures beside them."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.support.shards import write_tar

#: A square of 10 pixels from (4, 6) as an outline.
SQUARE = [4.0, 6.0, 14.0, 6.0, 14.0, 16.0, 4.0, 16.0]


def jpeg(width: int, height: int, seed: int = 0) -> bytes:
    """A picture of noise."""
    rng = np.random.default_rng(seed)
    stream = io.BytesIO()
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


def coco(**changes: Any) -> dict[str, Any]:
    """Three pictures of 40 x 30: two boxes, a crowd as run lengths, and nothing."""
    content: dict[str, Any] = {
        "info": {"year": 2017},
        "images": [
            {"id": 7, "file_name": "000000000007.jpg", "width": 40, "height": 30},
            {"id": 3, "file_name": "000000000003.jpg", "width": 40, "height": 30},
            {"id": 9, "file_name": "000000000009.jpg", "width": 40, "height": 30},
        ],
        "categories": [
            {"id": 1, "name": "person", "supercategory": "person"},
            {"id": 17, "name": "cat", "supercategory": "animal"},
            {"id": 44, "name": "bottle", "supercategory": "kitchen"},
        ],
        "annotations": [
            annotation(1, 7, 17, [4.0, 6.0, 10.0, 10.0], segmentation=[SQUARE], area=100.0),
            annotation(2, 7, 1, [0.5, 1.25, 12.0, 20.5], segmentation=[], area=99.5),
            annotation(
                3,
                3,
                44,
                [0, 0, 2, 30],
                iscrowd=1,
                segmentation={"size": [30, 40], "counts": [0, 60, 1140]},
                area=60,
            ),
        ],
    }
    return content | changes


def annotation(number: int, image: Any, category: Any, box: Any, **more: Any) -> dict[str, Any]:
    """One entry of "annotations"."""
    entry = {"id": number, "image_id": image, "category_id": category, "bbox": box, "iscrowd": 0}
    return entry | more


def lvis(*, version: str) -> dict[str, Any]:
    """Two pictures with federated annotations, in the keys of LVIS v0.5 or v1."""
    names = {
        "v0.5": {"file_name": "COCO_val2014_000000000007.jpg"},
        "v1": {"coco_url": "http://images.cocodataset.org/val2017/000000000007.jpg"},
    }
    other = {
        "v0.5": {"file_name": "COCO_val2014_000000000003.jpg"},
        "v1": {"coco_url": "http://images.cocodataset.org/val2017/000000000003.jpg"},
    }
    size = {"width": 40, "height": 30}
    return {
        "images": [
            {
                "id": 7,
                **names[version],
                **size,
                "neg_category_ids": [3, 1],
                "not_exhaustive_category_ids": [2],
            },
            {
                "id": 3,
                **other[version],
                **size,
                "neg_category_ids": [],
                "not_exhaustive_category_ids": [],
            },
        ],
        "categories": [
            category(1, "acorn", "r"),
            category(2, "bow_(weapon)", "c", synonyms=["bow_(weapon)", "long_bow"]),
            category(3, "person", "f"),
        ],
        "annotations": [
            {
                "id": 1,
                "image_id": 7,
                "category_id": 2,
                "bbox": [4.0, 6.0, 10.0, 10.0],
                "area": 100.0,
                "segmentation": [SQUARE],
            }
        ],
    }


def category(number: int, name: str, frequency: str, **more: Any) -> dict[str, Any]:
    """One entry of LVIS's "categories"."""
    entry = {"id": number, "name": name, "frequency": frequency, "synset": f"{name}.n.01"}
    return entry | {"synonyms": [name], "def": "a thing", "image_count": 1} | more


def write_coco(folder: Path, content: Any, *, pictures: str = "folder") -> Path:
    """The JSON with pictures named as COCO 2017 names them, in a folder or in a tar beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    files = [(f"val2017/00000000000{n}.jpg", jpeg(40, 30, seed=n)) for n in (3, 7, 9)]
    if pictures == "tar":
        write_tar(folder / "pictures.tar", files)
    for name, data in files if pictures == "folder" else ():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return path
