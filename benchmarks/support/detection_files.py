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
