"""A detector that knows the answers and errs a little, and the sets that it knows."""

import hashlib
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from data_pipelines.detection.masks import rle_of_pixels
from eval.contract import Detections

NAMES = ("red ball", "blue box", "green_tree")
_COLOURS = ((220, 40, 40), (40, 60, 220), (40, 180, 60))
SIDE = 64


def scene(number: int, *, num_objects: int = 3) -> tuple[bytes, list[tuple[int, list[int]]]]:
    """A PNG of coloured rectangles on noise, and (class, [left, top, width, height]) of each."""
    draw = np.random.default_rng(number)
    pixels = draw.integers(90, 160, (SIDE, SIDE, 3), dtype=np.uint8)
    marks = []
    for place in range(num_objects):
        label = int(draw.integers(len(NAMES)))
        left, width, height = 2 + place * 20, *draw.integers(8, 17, 2).tolist()
        top = int(draw.integers(2, SIDE - 20))
        pixels[top : top + height, left : left + width] = _COLOURS[label]
        marks.append((label, [left, top, width, height]))
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue(), marks


def write_scenes(folder: Path, count: int, *, in_tar: bool = True, **changes: Any) -> Path:
    """A COCO JSON beside a tar of pictures, or beside the pictures.

    Args:
        changes: lists that replace or extend those of the JSON: "more_annotations", "categories".
    """
    folder.mkdir(parents=True, exist_ok=True)
    listed: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 10 * i + 5, "name": name} for i, name in enumerate(NAMES)],
    }
    files = {}
    for number in range(count):
        data, marks = scene(number, num_objects=number % 4)
        files[f"scene_{number:03d}.png"] = data
        picture = {"id": number, "file_name": f"scene_{number:03d}.png"}
        listed["images"].append(picture | {"width": SIDE, "height": SIDE})
        for label, box in marks:
            pixels = np.zeros((SIDE, SIDE), dtype=bool)
            pixels[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = True
            listed["annotations"].append(
                {
                    "id": len(listed["annotations"]) + 1,
                    "image_id": number,
                    "category_id": 10 * label + 5,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "segmentation": rle_of_pixels(pixels).to_coco(),
                }
            )
    listed["annotations"] += changes.pop("more_annotations", [])
    files |= changes.pop("files", {})
    (folder / "instances.json").write_text(json.dumps(listed | changes))
    if not in_tar:
        for name, data in files.items():
            (folder / name).write_bytes(data)
        return folder
    with tarfile.open(folder / "pictures.tar", "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return folder


class NoisyDetector:
    """Finds the rectangles of ``scene`` by their colours, then errs as its seed says.

    Args:
        noise: standard deviation of each side of a box, pixels.
        wrong: share of boxes with another class.
        missed: share of boxes left out.
        false: boxes about nothing in each picture.
        masks: whether it gives masks.
    """

    def __init__(
        self,
        name: str = "noisy",
        *,
        noise: float = 0.0,
        wrong: float = 0.0,
        missed: float = 0.0,
        false: int = 0,
        masks: bool = False,
    ) -> None:
        self.name = name
        self.fingerprint = hashlib.sha256(
            repr((noise, wrong, missed, false, masks)).encode()
        ).hexdigest()
        self._settings = noise, wrong, missed, false, masks
        self.calls: list[tuple[int, int, int | None]] = []

    def detect(
        self,
        images: Sequence[Tensor],
        vocabulary: Sequence[str],
        *,
        max_detections: int,
        names_per_pass: int | None = None,
    ) -> list[Detections]:
        """See ``eval.contract.Detector``."""
        self.calls.append((len(images), len(vocabulary), names_per_pass))
        return [self._one(image, list(vocabulary), max_detections) for image in images]

    def _one(self, image: Tensor, vocabulary: list[str], most: int) -> Detections:
        noise, wrong, missed, false, has_masks = self._settings
        digest = hashlib.sha256(image.numpy().tobytes()).digest()
        draw = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        boxes, labels, scores = [], [], []
        for colour, name in zip(_COLOURS, NAMES, strict=True):
            for box in _rectangles(image.numpy(), colour):
                if draw.random() < missed:
                    continue
                boxes.append(np.array(box, dtype=np.float64) + draw.normal(0, noise, 4))
                label = vocabulary.index(name.replace("_", " "))
                if draw.random() < wrong:
                    label = (label + 1) % len(vocabulary)
                labels.append(label)
                scores.append(0.5 + draw.random() / 2)
        for _ in range(false):
            left, top = draw.integers(0, 40, 2).tolist()
            boxes.append(np.array([left, top, left + 9, top + 9], dtype=np.float64))
            labels.append(int(draw.integers(len(vocabulary))))
            scores.append(draw.random() * 0.8)
        order = np.argsort(-np.array(scores), kind="stable")[:most]
        masks = [_mask(boxes[i], image.shape[1:]) for i in order] if has_masks else None
        return Detections(
            torch.tensor(np.array(boxes).reshape(-1, 4)[order], dtype=torch.float32),
            torch.tensor(np.array(scores)[order], dtype=torch.float32),
            torch.tensor(np.array(labels, dtype=np.int64)[order]),
            masks,
        )


def _rectangles(pixels: np.ndarray, colour: tuple[int, int, int]) -> list[list[int]]:
    """Left, top, right and bottom of each rectangle of a colour; they stand 20 pixels apart."""
    is_there = (pixels == np.array(colour, dtype=np.uint8)[:, None, None]).all(axis=0)
    found = []
    for left in (2, 22, 42):
        rows, columns = np.nonzero(is_there[:, left : left + 20])
        if len(rows):
            found.append(
                [left, int(rows.min()), left + int(columns.max()) + 1, int(rows.max()) + 1]
            )
    return found


def _mask(box: np.ndarray, size: torch.Size) -> Any:
    pixels = np.zeros(tuple(size), dtype=bool)
    left, top, right, bottom = np.round(box).astype(int).clip(0).tolist()
    pixels[top:bottom, left:right] = True
    return rle_of_pixels(pixels).to_coco()
