"""COCO and LVIS annotations and results as they lie in JSON, as columns in float64.

Evaluation itself reads boxes as float32 (``data_pipelines.detection``); comparisons of evaluators
to the last digit need what the file says.
"""

from typing import Any

import numpy as np

from data_pipelines.detection.masks import mask_of_json, rle_of
from eval.contract import MaskRle
from eval.detection.regions import Found, Truth


def read_columns(
    listed: dict[str, Any], results: list[dict[str, Any]], *, with_masks: bool | None = None
) -> tuple[Truth, Found]:
    """Annotations and results of a parsed file each; classes and pictures by ascending id.

    Args:
        listed: an annotation file; federated where its pictures have "neg_category_ids".
        results: boxes, or masks.
        with_masks: None: where the results have masks and no boxes.
    """
    images = {one["id"]: one for one in listed["images"]}
    image_row = {number: row for row, number in enumerate(sorted(images))}
    class_ids = sorted(one["id"] for one in listed["categories"])
    label_row = {number: row for row, number in enumerate(class_ids)}
    marks = sorted(listed["annotations"], key=lambda one: image_row[one["image_id"]])
    is_masks = "bbox" not in results[0] if with_masks is None else with_masks
    is_federated = all("neg_category_ids" in one for one in images.values())

    def pairs(name: str) -> np.ndarray:
        found = [
            (image_row[number], label_row[label])
            for number, one in images.items()
            for label in one.get(name, ())
        ]
        return np.array(found, dtype=np.int64).reshape(-1, 2)

    truth = Truth(
        images=np.array([image_row[one["image_id"]] for one in marks], dtype=np.int64),
        labels=np.array([label_row[one["category_id"]] for one in marks], dtype=np.int64),
        boxes=np.array([one["bbox"] for one in marks], dtype=np.float64).reshape(-1, 4),
        areas=np.array([one["area"] for one in marks], dtype=np.float64),
        is_crowd=np.array([bool(one.get("iscrowd")) for one in marks], dtype=np.bool_),
        num_images=len(images),
        num_classes=len(class_ids),
        masks=[_mask(one, images[one["image_id"]]) for one in marks] if is_masks else None,
        absent=pairs("neg_category_ids") if is_federated else None,
        not_exhaustive=pairs("not_exhaustive_category_ids") if is_federated else None,
    )
    zeros = [0.0, 0.0, 0.0, 0.0]
    return truth, Found(
        images=np.array([image_row[one["image_id"]] for one in results], dtype=np.int64),
        labels=np.array([label_row[one["category_id"]] for one in results], dtype=np.int64),
        boxes=np.array([one.get("bbox", zeros) for one in results], dtype=np.float64),
        scores=np.array([one["score"] for one in results], dtype=np.float64),
        masks=[one["segmentation"] for one in results] if is_masks else None,
    )


def _mask(mark: dict[str, Any], image: dict[str, Any]) -> MaskRle:
    size = image["height"], image["width"]
    mask = mask_of_json(mark["segmentation"], size)
    assert mask is not None
    rle = rle_of(mask, size)
    return {"size": [rle.height, rle.width], "counts": rle.counts.encode("ascii")}


Files = tuple[dict[str, Any], list[dict[str, Any]]]


def random_files(seed: int, kind: str) -> Files:
    """A small set with ties of scores and overlaps, empty pictures, crowds and many finds.

    Args:
        kind: "coco" (with crowds) or "lvis" (federated, without).
    """
    draw = np.random.default_rng([seed, 1])
    num_images, num_classes = 8, 6
    boxes, images, labels = [], [], []
    for image in range(num_images):
        for _ in range(draw.integers(0, 12) * (draw.random() > 0.15)):
            boxes.append(_whole_box(draw))
            images.append(image)
            labels.append(int(draw.integers(num_classes)))
    found = []
    for image, label, box in zip(images, labels, boxes, strict=True):
        for _ in range(draw.integers(0, 4)):
            near = box + draw.integers(-3, 4, 4) * (draw.random() < 0.7)
            found.append((image, label, *np.maximum(near, [0, 0, 1, 1])))
    for image in range(num_images):
        many = 400 if seed % 3 == 0 and image % 2 else 30
        found += [(image, draw.integers(num_classes), *_whole_box(draw)) for _ in range(many)]
    scores = draw.integers(0, 10, len(found)) / 10
    is_crowd = (draw.random(len(images)) < 0.15) & (kind == "coco")
    rows = np.array(found, dtype=np.float64)
    return (
        _annotations(draw, kind, np.array(images), np.array(labels), np.array(boxes, np.float64),
                     is_crowd, (num_images, num_classes)),
        _results(rows[:, 0], rows[:, 1], rows[:, 2:], scores),
    )  # fmt: skip


def _whole_box(draw: np.random.Generator) -> np.ndarray:
    return np.r_[draw.integers(0, 190, 2), draw.integers(1, 100, 2)]


def made_up_set(
    seed: int, kind: str, *, num_pictures: int, num_classes: int = 300, finds: int = 160
) -> Files:
    """Ten regions and ``finds`` finds a picture, a third of them about a region."""
    draw = np.random.default_rng([seed, 2])
    count = num_pictures * 10
    images = np.sort(draw.integers(0, num_pictures, count))
    labels = (num_classes * draw.random(count) ** 2).astype(np.int64)
    boxes = np.c_[draw.random((count, 2)) * 400, 10 * np.exp(draw.random((count, 2)) * 3)].round(2)
    near = draw.integers(0, count, num_pictures * finds // 3)
    rest = num_pictures * finds - len(near)
    moved = boxes[near] + draw.normal(0, 3, (len(near), 4))
    others = np.c_[draw.random((rest, 2)) * 400, 10 * np.exp(draw.random((rest, 2)) * 3)]
    moved[:, 2:] = np.maximum(moved[:, 2:], 1)
    is_named = draw.random(len(near)) < 0.8
    wrong = draw.integers(0, num_classes, len(near))
    return (
        _annotations(draw, kind, images, labels, boxes,
                     (draw.random(count) < 0.02) & (kind == "coco"), (num_pictures, num_classes)),
        _results(
            np.r_[images[near], draw.integers(0, num_pictures, rest)],
            np.r_[np.where(is_named, labels[near], wrong), draw.integers(0, num_classes, rest)],
            np.r_[moved, others].round(2),
            np.r_[draw.beta(4, 2, len(near)), draw.beta(2, 4, rest)].round(4),
        ),
    )  # fmt: skip


def _annotations(
    draw: np.random.Generator,
    kind: str,
    images: np.ndarray,
    labels: np.ndarray,
    boxes: np.ndarray,
    is_crowd: np.ndarray,
    sizes: tuple[int, int],
) -> dict[str, Any]:
    num_images, num_classes = sizes
    shown = set(zip(images.tolist(), labels.tolist(), strict=True))
    listed = []
    for image in range(num_images):
        entry: dict[str, Any] = {"id": image + 1, "width": 640, "height": 640}
        if kind == "lvis":
            drawn = draw.integers(0, num_classes, min(12, num_classes)).tolist()
            absent = [label for label in dict.fromkeys(drawn) if (image, label) not in shown]
            entry["neg_category_ids"] = [label + 1 for label in absent]
            exempt = draw.integers(0, num_classes, 2).tolist()
            entry["not_exhaustive_category_ids"] = [label + 1 for label in dict.fromkeys(exempt)]
        listed.append(entry)
    categories = [
        {"id": i + 1, "name": f"class {i}", "frequency": "rcf"[i % 3]} for i in range(num_classes)
    ]
    columns = zip(images.tolist(), labels.tolist(), boxes.tolist(), is_crowd.tolist(), strict=True)
    marks = [
        {
            "id": number + 1,
            "image_id": image + 1,
            "category_id": label + 1,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": int(crowd),
            "segmentation": [],
        }
        for number, (image, label, box, crowd) in enumerate(columns)
    ]
    return {"images": listed, "categories": categories, "annotations": marks}


def _results(
    images: np.ndarray, labels: np.ndarray, boxes: np.ndarray, scores: np.ndarray
) -> list[dict[str, Any]]:
    columns = zip(images.tolist(), labels.tolist(), boxes.tolist(), scores.tolist(), strict=True)
    return [
        {"image_id": int(image) + 1, "category_id": int(label) + 1, "bbox": box, "score": score}
        for image, label, box, score in columns
    ]
