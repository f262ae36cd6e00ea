"""Random detection sets with all that evaluators stumble over, and a published rule in loops.

Scores are tenths and boxes whole pixels, so that ties of both are frequent; some pictures are
empty, some have more than 300 finds, some regions are crowds.
"""

from collections import defaultdict
from typing import Any

import numpy as np

from data_pipelines.detection.masks import rle_of_pixels
from eval.contract import MaskRle
from eval.detection.regions import Found, Truth, best_of_picture

_IMAGES, _CLASSES = 8, 6


def random_set(
    seed: int, *, federated: bool = False, masks: bool = False, crowds: bool = False
) -> tuple[Truth, Found]:
    """A set of 8 pictures and 6 classes; every third seed has pictures with over 300 finds."""
    draw = np.random.default_rng(seed)
    side = 40 if masks else 200
    marked = [
        (image, draw.integers(_CLASSES), *_box(draw, side))
        for image in range(_IMAGES)
        if draw.random() > 0.15
        for _ in range(draw.integers(0, 12))
    ]
    marks = np.array(marked, dtype=np.float64).reshape(-1, 6)
    found = [one for mark in marks for one in _near(draw, mark, side)]
    many = 400 if seed % 3 == 0 else 30
    for image in range(_IMAGES):
        for _ in range(many if draw.random() < 0.5 else 5):
            box = _box(draw, side)
            found.append((image, draw.integers(_CLASSES), *box, draw.integers(0, 10) / 10))
    finds = np.array(found, dtype=np.float64)[draw.permutation(len(found))]
    absent = still_open = None
    if federated:
        absent, still_open = _verified(draw, marks)
    truth = Truth(
        images=marks[:, 0].astype(np.int64),
        labels=marks[:, 1].astype(np.int64),
        boxes=marks[:, 2:],
        areas=marks[:, 4] * marks[:, 5],
        is_crowd=(draw.random(len(marks)) < 0.15) & crowds,
        num_images=_IMAGES,
        num_classes=_CLASSES,
        masks=[_mask(box, side) for box in marks[:, 2:]] if masks else None,
        absent=absent,
        not_exhaustive=still_open,
    )
    return truth, Found(
        images=finds[:, 0].astype(np.int64),
        labels=finds[:, 1].astype(np.int64),
        boxes=finds[:, 2:6].copy(),
        scores=finds[:, 6].copy(),
        masks=[_mask(box, side) for box in finds[:, 2:6]] if masks else None,
    )


def _box(draw: np.random.Generator, side: int) -> tuple[int, int, int, int]:
    left, top = draw.integers(0, side - 10, 2).tolist()
    width, height = draw.integers(1, side // 2, 2).tolist()
    return left, top, min(width, side - left), min(height, side - top)


def _near(draw: np.random.Generator, mark: np.ndarray, side: int) -> list[tuple[float, ...]]:
    """Up to three finds about a region, some exactly on it, some of another class."""
    found = []
    for _ in range(draw.integers(0, 4)):
        box = mark[2:] + draw.integers(-3, 4, 4) * (draw.random() < 0.7)
        box[:2] = np.clip(box[:2], 0, side - 1)
        label = mark[1] if draw.random() < 0.9 else draw.integers(_CLASSES)
        found.append((mark[0], label, *box[:2], *np.maximum(box[2:], 1), draw.integers(10) / 10))
    return found


def _mask(box: np.ndarray, side: int) -> MaskRle:
    left, top, width, height = box.astype(int).tolist()
    pixels = np.zeros((side, side), dtype=bool)
    pixels[top : top + height, left : left + width] = True
    # Masks with less area than their boxes.
    pixels[top, left : left + width // 2] = False
    rle = rle_of_pixels(pixels)
    return {"size": [rle.height, rle.width], "counts": rle.counts.encode()}


def _verified(draw: np.random.Generator, marks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    shown = {(int(mark[0]), int(mark[1])) for mark in marks}
    pairs = [(image, label) for image in range(_IMAGES) for label in range(_CLASSES)]
    absent = [pair for pair in pairs if pair not in shown and draw.random() < 0.4]
    still_open = [pair for pair in pairs if draw.random() < 0.2]
    return (
        np.array(absent, dtype=np.int64).reshape(-1, 2),
        np.array(still_open, dtype=np.int64).reshape(-1, 2),
    )


def coco_json(truth: Truth) -> dict[str, Any]:
    """The marked regions as COCO's file has them."""
    sides = {"width": 200, "height": 200}
    if truth.masks:
        sides = dict(zip(("height", "width"), truth.masks[0]["size"], strict=True))
    return {
        "images": [{"id": i + 1, **sides} for i in range(truth.num_images)],
        "categories": [{"id": i + 1, "name": f"class {i}"} for i in range(truth.num_classes)],
        "annotations": [
            {
                "id": row + 1,
                "image_id": int(truth.images[row]) + 1,
                "category_id": int(truth.labels[row]) + 1,
                "bbox": truth.boxes[row].tolist(),
                "area": float(truth.areas[row]),
                "iscrowd": int(truth.is_crowd[row]),
                **({"segmentation": truth.masks[row]} if truth.masks else {}),
            }
            for row in range(len(truth.labels))
        ],
    }


def coco_results(found: Found) -> list[dict[str, Any]]:
    """The finds as COCO's results have them; masks alone where there are some.

    With both, pycocotools would take the area of the box for that of the mask.
    """
    return [
        {
            "image_id": int(found.images[row]) + 1,
            "category_id": int(found.labels[row]) + 1,
            "score": float(found.scores[row]),
            **(
                {"segmentation": found.masks[row]}
                if found.masks
                else {"bbox": found.boxes[row].tolist()}
            ),
        }
        for row in range(len(found.labels))
    ]


def federated_in_loops(
    truth: Truth, found: Found, *, least: float, area: tuple[float, float], most: int
) -> tuple[dict[int, float], dict[int, float]]:
    """AP and recall of each class at one overlap: LVIS's rule in float64 loops over boxes.

    Gupta et al. 2019 (arXiv 1908.03195), section 4 of the supplement, and lvis-api's ``LVISEval``:
    finds of classes that are neither shown nor verified absent in the picture do not exist; an
    unmatched one of a class that is not marked exhaustively, or of an area outside the range,
    counts for nothing.
    """
    assert truth.absent is not None
    assert truth.not_exhaustive is not None
    absent = {tuple(pair) for pair in truth.absent.tolist()}
    still_open = {tuple(pair) for pair in truth.not_exhaustive.tolist()}
    marked: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row in range(len(truth.labels)):
        marked[int(truth.images[row]), int(truth.labels[row])].append(row)
    kept = best_of_picture(found, most)
    precisions, recalls = {}, {}
    for label in range(truth.num_classes):
        fates: list[tuple[float, int, int, bool | None]] = []
        num_marked = 0
        for image in range(truth.num_images):
            marks = marked.get((image, label), [])
            ignored = {m: not area[0] <= truth.areas[m] <= area[1] for m in marks}
            num_marked += sum(not one for one in ignored.values())
            if not marks and (image, label) not in absent:
                continue
            own = [
                row for row in range(len(kept.labels))
                if kept.images[row] == image and kept.labels[row] == label
            ]  # fmt: skip
            own.sort(key=lambda row: -kept.scores[row])
            used: set[int] = set()
            for place, row in enumerate(own):
                fate: bool | None = False
                best = None
                for counts in (True, False):
                    most_shared = min(least, 1 - 1e-10)
                    for mark in marks:
                        if mark in used or ignored[mark] == counts:
                            continue
                        shared = _overlap(kept.boxes[row].tolist(), truth.boxes[mark].tolist())
                        if shared >= most_shared:
                            most_shared, best = shared, mark
                    if best is not None:
                        break
                if best is not None:
                    used.add(best)
                    fate = None if ignored[best] else True
                elif (image, label) in still_open or not (
                    area[0] <= kept.boxes[row][2] * kept.boxes[row][3] <= area[1]
                ):
                    fate = None
                fates.append((-kept.scores[row], image, place, fate))
        if num_marked:
            precisions[label], recalls[label] = _ap(fates, num_marked)
    return precisions, recalls


def _ap(fates: list[tuple[float, int, int, bool | None]], num_marked: int) -> tuple[float, float]:
    points, right, seen = [], 0, 0
    for *_, fate in sorted(fates, key=lambda one: one[:3]):
        if fate is None:
            continue
        seen += 1
        right += fate
        points.append((right / num_marked, right / seen))
    total = 0.0
    for step in np.linspace(0, 1, 101).tolist():
        total += max((p for recall, p in points if recall >= step), default=0.0)
    return total / 101, points[-1][0] if points else 0.0


def _overlap(one: list[float], two: list[float]) -> float:
    wide = min(one[0] + one[2], two[0] + two[2]) - max(one[0], two[0])
    high = min(one[1] + one[3], two[1] + two[3]) - max(one[1], two[1])
    if wide <= 0 or high <= 0:
        return 0.0
    shared = wide * high
    return shared / (one[2] * one[3] + two[2] * two[3] - shared)
