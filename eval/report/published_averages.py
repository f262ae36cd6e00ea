"""Averages over groups of data sets, from finished results.

- VTAB's three groups (Zhai et al. 2019, arXiv 1910.04867, table 1 and section 2.2): top-1 accuracy.
- DataComp's averages (Gadre et al. 2023, arXiv 2304.14108; tasklist.yml and aggregate_scores.py of
  its repository): each set by its own metric. FairFace and UTKFace have none and do not count.

An average that lacks sets says so in its name and is not comparable with published ones. WinoGAViL
cannot be evaluated here, so DataComp's average has at most 37 of its 38 sets.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.data.dataset_names import canonical_name
from eval.errors import EvaluationError
from eval.results import EvalResult, Score

_TOP1 = "top1"
_PER_CLASS = "mean_per_class_recall"
#: Mean of both directions' recall at 1.
MEAN_RECALL = "mean_recall_at_1"

_VTAB = {
    "VTAB natural": ("caltech101", "cifar100", "dtd", "flowers", "pets", "sun397", "svhn"),
    "VTAB specialized": ("pcam", "eurosat", "resisc45", "diabetic_retinopathy"),
    "VTAB structured": (
        "clevr_count_all",
        "clevr_closest_object_distance",
        "dmlab",
        "kitti_closest_vehicle_distance",
        "dsprites_label_x_position",
        "dsprites_label_orientation",
        "smallnorb_label_azimuth",
        "smallnorb_label_elevation",
    ),
}

# 200-way accuracy on pictures of other classes, against the class that a ResNet-50 took them for:
# lower is better, yet DataComp adds it like the rest. It is no out-of-distribution detection.
_LEGACY = {"imagenet-o": "imagenet-o/legacy"}

#: Metric of each of DataComp's 38 sets by canonical name.
DATACOMP_METRICS = {
    "caltech101": _PER_CLASS,
    "cifar10": _TOP1,
    "cifar100": _TOP1,
    "clevr_count_all": _TOP1,
    "clevr_closest_object_distance": _TOP1,
    "country211": _TOP1,
    "dtd": _TOP1,
    "eurosat": _TOP1,
    "fgvc_aircraft": _PER_CLASS,
    "food101": _TOP1,
    "gtsrb": _TOP1,
    "imagenet1k": _TOP1,
    "imagenet_sketch": _TOP1,
    "imagenetv2": _TOP1,
    "imagenet-a": _TOP1,
    "imagenet-o": _TOP1,
    "imagenet-r": _TOP1,
    "kitti_closest_vehicle_distance": _TOP1,
    "mnist": _TOP1,
    "objectnet": _TOP1,
    "flowers": _PER_CLASS,
    "pets": _PER_CLASS,
    "voc2007": _TOP1,
    "pcam": _TOP1,
    "renderedsst2": _TOP1,
    "resisc45": _TOP1,
    "cars": _TOP1,
    "stl10": _TOP1,
    "sun397": _TOP1,
    "svhn": _TOP1,
    "flickr30k": MEAN_RECALL,
    "mscoco_captions": MEAN_RECALL,
    "winogavil": "jaccard",
    "iwildcam": "macro_f1",
    "camelyon17": _TOP1,
    "fmow": "worst_region_top1",
    "dollar_street": "worst_income_top5",
    "geode": "worst_region_top1",
}

_DATACOMP_VTAB = (
    *_VTAB["VTAB natural"],
    "pcam",
    "eurosat",
    "resisc45",
    "clevr_count_all",
    "clevr_closest_object_distance",
    "kitti_closest_vehicle_distance",
)

_SHIFTS = ("imagenet_sketch", "imagenetv2", "imagenet-a", "imagenet-o", "imagenet-r", "objectnet")

_GROUPS: dict[str, Mapping[str, str]] = {
    **{name: dict.fromkeys(sets, _TOP1) for name, sets in _VTAB.items()},
    "VTAB": dict.fromkeys([name for sets in _VTAB.values() for name in sets], _TOP1),
    "DataComp ImageNet shifts": {name: DATACOMP_METRICS[name] for name in _SHIFTS},
    "DataComp VTAB": {name: DATACOMP_METRICS[name] for name in _DATACOMP_VTAB},
    "DataComp retrieval": {
        name: DATACOMP_METRICS[name] for name in ("flickr30k", "mscoco_captions", "winogavil")
    },
    "DataComp": DATACOMP_METRICS,
}


@dataclass(frozen=True, slots=True)
class GroupAverage:
    """Mean over the data sets of a group.

    Args:
        name: of the group; with "n of m sets" where some are missing.
        value: mean of the sets' scores.
        low: lower end of its 95% interval.
        high: upper end.
        num_sets: sets in it.
        missing: canonical names of the sets without a result.
    """

    name: str
    value: float
    low: float
    high: float
    num_sets: int
    missing: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether it may be compared with published averages of the group."""
        return not self.missing


def group_averages(results: Sequence[EvalResult]) -> list[GroupAverage]:
    """The averages of all groups that have a result, of one model.

    Intervals of the sets are combined as those of independent figures: they cover the draw of
    images, not the choice of data sets.

    Args:
        results: finished ones; those of other benchmarks are passed over. Of several splits of a
            set "test" counts, else the first.
    Raises:
        EvaluationError: results of several models.
    """
    models = {result.model for result in results}
    if len(models) > 1:
        raise EvaluationError(
            f"averages are of one model, but the results are of {', '.join(sorted(models))}; "
            "give those of one"
        )
    by_set = _scores_by_set(results)
    averages = []
    for name, metrics in _GROUPS.items():
        found = {
            key: by_set[key][metric]
            for key, metric in metrics.items()
            if metric in by_set.get(key, {})
        }
        if found:
            missing = tuple(_LEGACY.get(key, key) for key in metrics if key not in found)
            averages.append(_average(name, list(found.values()), missing))
    return averages


def _scores_by_set(results: Sequence[EvalResult]) -> dict[str, dict[str, Score]]:
    by_set: dict[str, dict[str, Score]] = {}
    for result in sorted(results, key=lambda result: result.split != "test"):
        if result.benchmark in ("zero_shot", "retrieval", "worst_group"):
            scores = by_set.setdefault(canonical_name(result.dataset), {})
            for name, score in _with_mean_recall(result.scores).items():
                scores.setdefault(name, score)
    return by_set


def _with_mean_recall(scores: Mapping[str, Score]) -> Mapping[str, Score]:
    """Adds the mean of both directions; their hits share images, so the widths add up."""
    one, two = scores.get("image_to_text_recall_at_1"), scores.get("text_to_image_recall_at_1")
    if one is None or two is None:
        return scores
    mean = Score(
        (one.value + two.value) / 2, (one.low + two.low) / 2, (one.high + two.high) / 2, one.n
    )
    return {**scores, MEAN_RECALL: mean}


def _average(name: str, scores: list[Score], missing: tuple[str, ...]) -> GroupAverage:
    count = len(scores)
    value = sum(score.value for score in scores) / count
    below = math.hypot(*(score.value - score.low for score in scores)) / count
    above = math.hypot(*(score.high - score.value for score in scores)) / count
    total = count + len(missing)
    title = f"{name}, {count} of {total} sets" if missing else f"{name} average of {total} sets"
    return GroupAverage(title, value, value - below, value + above, count, missing)
