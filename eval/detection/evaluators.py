"""AP and AR of every class: by hotcoco, and by our own float64 evaluator.

hotcoco (Rust) gives the figures; it equals pycocotools and lvis-api to every digit that was
compared. Our own (``matching``, ``precision``) gives what resampling needs, checks hotcoco in every
evaluation, and takes its place where it cannot be imported.
"""

import contextlib
import io
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from eval.detection.matching import AREAS, Matched, matched
from eval.detection.precision import class_figures, precision_curves
from eval.detection.regions import Found, Truth, best_of_picture
from eval.errors import EvaluationError

#: Finds that recall is given at: of a picture and class under COCO's protocol, of a picture over
#: all classes under the federated one.
RECALL_AT = (100, 300)
#: Finds of a picture and class that COCO's AP counts.
COCO_MOST = 100


class ClassTable(NamedTuple):
    """Figures of every class; NaN where no marked region of it counts.

    Attributes:
        precision: average precision (over 101 recalls).
        recall: the same at each of ``RECALL_AT``.
        curves: precision at 101 recalls, areas of any size.
    """

    precision: Float64[np.ndarray, "areas thresholds classes"]
    recall: Float64[np.ndarray, "limits areas thresholds classes"]
    curves: Float64[np.ndarray, "thresholds recalls classes"]

    def difference(self, other: "ClassTable") -> float:
        """Largest distance of any figure of the two; infinite where only one has it."""
        largest = 0.0
        for one, two in zip(self, other, strict=True):
            if not np.array_equal(np.isnan(one), np.isnan(two)):
                return float("inf")
            known = ~np.isnan(one)
            largest = max(largest, float(np.abs(one[known] - two[known]).max(initial=0.0)))
        return largest


def by_hotcoco(truth: Truth, found: Found, *, is_fixed: bool = False) -> ClassTable:
    """Figures by hotcoco; masks where both sides have them, else boxes.

    Args:
        truth: what is marked.
        found: cut to the finds that count under the protocol.
        is_fixed: no limit for a picture (fixed AP).
    Raises:
        ImportError: hotcoco is not there.
    """
    import hotcoco

    marked = _marked(truth)
    kind = "bbox" if truth.masks is None or found.masks is None else "segm"

    def accumulated(finds: Found, limits: list[int]) -> dict[str, Any]:
        results = marked.load_res(_rows(finds), segmentation=finds.masks)
        if kind == "segm":
            # Of finds with box and mask it would take the area of the box, as pycocotools does.
            numbers = np.arange(1, len(finds.labels) + 1)
            results.update_anns(ids=numbers, area=hotcoco.mask.area(finds.masks))  # type: ignore[arg-type]
        # Unless told that they are cut, it cuts the finds of a federated picture to 300 itself.
        results = results.cap_detections_per_image(None)
        evaluator = hotcoco.COCOeval(marked, results, kind, lvis_style=truth.is_federated)
        evaluator.params.max_dets = limits
        with contextlib.redirect_stdout(io.StringIO()):
            evaluator.evaluate()
            evaluator.accumulate()
        return dict(evaluator.eval or {})

    if not len(found.labels):
        return by_ours(truth, found).table
    if truth.is_federated:
        every = int(max(np.bincount(found.images).max(), 1))
        whole = accumulated(found, [every])
        capped = [accumulated(best_of_picture(found, most), [every]) for most in RECALL_AT]
        recalls = [one["recall"][..., 0] for one in capped]
        precision = whole["precision"][..., 0]
    else:
        every = max(RECALL_AT[-1], int(np.bincount(found.images).max()))
        whole = accumulated(found, [*RECALL_AT, *([every] if is_fixed else [])])
        recalls = [whole["recall"][..., i] for i in range(len(RECALL_AT))]
        precision = whole["precision"][..., -1 if is_fixed else RECALL_AT.index(COCO_MOST)]
    precision = _known(precision)
    return ClassTable(
        precision=np.moveaxis(precision.mean(axis=1), 2, 0),
        recall=np.stack([np.moveaxis(_known(recall), 2, 0) for recall in recalls]),
        curves=precision[..., 0],
    )


class OwnFigures(NamedTuple):
    """What our own evaluator has: the table, and the matches that it rests on."""

    table: ClassTable
    matches: Matched


def by_ours(truth: Truth, found: Found, *, is_fixed: bool = False) -> OwnFigures:
    """Figures by our own evaluator; arguments as in ``by_hotcoco``."""
    whole = matched(truth, found)
    once = np.ones((1, truth.num_images), dtype=np.int64)
    most = most_counted(truth, is_fixed=is_fixed)
    limits: list[tuple[Matched, int | None]] = [(whole, one) for one in RECALL_AT]
    if truth.is_federated:
        limits = [(matched(truth, best_of_picture(found, one)), None) for one in RECALL_AT]
    areas = range(len(AREAS))
    precision = [class_figures(whole, once, area=area, most=most).precision[0] for area in areas]
    recall = [
        [class_figures(matches, once, area=area, most=limit).recall[0] for area in areas]
        for matches, limit in limits
    ]
    curves = precision_curves(whole, most=most)
    return OwnFigures(ClassTable(np.stack(precision), np.array(recall), curves), whole)


def most_counted(truth: Truth, *, is_fixed: bool) -> int | None:
    """Finds of a picture and class that AP counts; None for all that were given."""
    return None if truth.is_federated or is_fixed else COCO_MOST


def has_hotcoco() -> bool:
    """Whether hotcoco can be imported here."""
    try:
        import hotcoco  # noqa: F401
    except ImportError:
        return False
    return True


def _marked(truth: Truth) -> Any:
    import hotcoco

    count = len(truth.labels)
    numbers = range(truth.num_images)
    if truth.absent is None:
        images = [_image(i) for i in numbers]
    else:
        open_ones = truth.not_exhaustive
        absent = _lists(truth.absent, truth.num_images)
        exempt = _lists(np.zeros((0, 2), np.int64) if open_ones is None else open_ones,
                        truth.num_images)  # fmt: skip
        images = [
            _image(i) | {"neg_category_ids": absent[i], "not_exhaustive_category_ids": exempt[i]}
            for i in numbers
        ]
    if truth.masks is not None and count:
        sizes = {image: mask["size"] for image, mask in zip(truth.images, truth.masks, strict=True)}
        for image, (height, width) in sizes.items():
            images[int(image)] |= {"height": height, "width": width}
    return hotcoco.COCO.from_arrays(
        images,
        [{"id": i + 1, "name": str(i), "frequency": "f"} for i in range(truth.num_classes)],
        truth.images + 1,
        truth.labels + 1,
        truth.boxes,
        area=truth.areas,
        iscrowd=truth.is_crowd.astype(np.int64),
        segmentation=truth.masks,  # type: ignore[arg-type]
    )


def _image(number: int) -> dict[str, Any]:
    return {"id": number + 1, "width": 1, "height": 1, "file_name": ""}


def _lists(pairs: np.ndarray, num_images: int) -> list[list[int]]:
    listed: list[list[int]] = [[] for _ in range(num_images)]
    for image, label in pairs.tolist():
        listed[image].append(label + 1)
    return listed


def _rows(found: Found) -> Float64[np.ndarray, "found 7"]:
    """Picture, left, top, width, height, score, class: the array that ``loadRes`` reads."""
    columns = (found.images + 1, *found.boxes.T, found.scores, found.labels + 1)
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def _known(figures: np.ndarray) -> np.ndarray:
    """With NaN for -1, which the evaluators write where nothing is."""
    return np.where(figures == -1, np.nan, figures)


def refuse_difference(one: ClassTable, two: ClassTable, *, most: float) -> float:
    """The largest difference of two evaluators.

    Raises:
        EvaluationError: it is above ``most``: one of them is wrong.
    """
    difference = one.difference(two)
    if not difference <= most:
        raise EvaluationError(
            f"two evaluators differ by {difference:.3g} on this set, so that no figure can be "
            "trusted; report it with the annotations, and set detection.check=false to go on"
        )
    return difference
