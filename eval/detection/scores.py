"""Figures of a detector by name, each with an interval from resampled pictures.

Names are REGION_FIGURE[_GROUP]: REGION is "box" or "mask" ("box_fixed" where AP is fixed AP),
FIGURE is "ap", "ap50", "ap75", "ap_small"..., "ar_100" or "ar_300", GROUP one of the vocabulary:
"base", "novel", "rare", "common", "frequent". A figure of a group is the mean over its classes with
a marked region that counts; a group without one has no figure.

Intervals are those of a bootstrap over pictures: a resample weights each picture by how often it
was drawn, and AP is computed anew from the matched finds (``precision``), classes that it does not
show left out. The same seed draws the same resamples, so that two detectors on one set are
compared resample by resample (``eval.metrics.paired.paired_resamples``).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64

from eval.detection.evaluators import RECALL_AT, ClassTable, most_counted
from eval.detection.matching import AREAS, Matched, matched
from eval.detection.precision import ClassFigures, class_figures
from eval.detection.regions import Found, Truth, best_of_picture
from eval.metrics.resampling import image_weights, resampled_score
from eval.progress import Progress
from eval.results import Score

#: Resamples of the pictures. Only their spread is used, which 1,000 give to 2 %.
NUM_DRAWN = 1000

_LEVELS = {"": slice(None), "50": slice(0, 1), "75": slice(5, 6)}


class Figures(NamedTuple):
    """Scores by name with what each was in every resample.

    Attributes:
        scores: with intervals.
        resampled: of the same names; NaN where a resample has no class of the group.
        units: pictures that each rests on.
    """

    scores: dict[str, Score]
    resampled: dict[str, Float64[np.ndarray, " resamples"]]
    units: dict[str, int]


def figures(
    table: ClassTable,
    matches: Matched,
    truth: Truth,
    found: Found,
    *,
    groups: Mapping[str, Bool[np.ndarray, " classes"]],
    region: str,
    seed: int,
    is_fixed: bool = False,
    num_drawn: int = NUM_DRAWN,
    is_told: bool = False,
) -> Figures:
    """All scores of one kind of region.

    Args:
        table: the figures of each class, by whichever evaluator.
        matches: of ``found`` with ``truth``.
        groups: classes of each group beside all of them.
        region: what names begin with.
        seed: of the draws.
        num_drawn: resamples, at least 2.
        is_told: say on standard error how far it is.
    """
    every = {"": np.ones(truth.num_classes, dtype=bool), **groups}
    weights = _weights(truth.num_images, num_drawn, seed)
    progress = Progress(f"resampling {region}", total=6, unit="passes") if is_told else None

    def passed(found: ClassFigures) -> ClassFigures:
        if progress:
            progress.add(1)
        return found

    most = most_counted(truth, is_fixed=is_fixed)
    by_area = [
        passed(class_figures(matches, weights, area=area, most=most)).precision
        for area in range(len(AREAS))
    ]
    recalls = [passed(_recall(matches, truth, found, weights, limit)) for limit in RECALL_AT]
    made: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for group, of_group in every.items():
        end = f"_{group}" if group else ""
        for level, thresholds in _LEVELS.items():
            made[f"ap{level}{end}"] = (table.precision[0][thresholds],
                                       by_area[0][:, thresholds], of_group)  # fmt: skip
        if not group:
            for number, area in list(enumerate(AREAS))[1:]:
                made[f"ap_{area}"] = table.precision[number], by_area[number], of_group
        for number, limit in enumerate(RECALL_AT):
            made[f"ar_{limit}{end}"] = (
                table.recall[number, 0], recalls[number].recall, of_group
            )  # fmt: skip
    if progress:
        progress.close()
    scores: dict[str, Score] = {}
    resampled: dict[str, np.ndarray] = {}
    units: dict[str, int] = {}
    for name, (one, drawn, of_group) in made.items():
        value = _mean(one[None], of_group)[0]
        if np.isnan(value):
            continue
        full = f"{region}_{name}"
        resampled[full] = _mean(drawn, of_group)
        units[full] = _num_pictures(matches, of_group)
        scores[full] = resampled_score(
            float(value), resampled[full], truth.num_images, units=float(units[full])
        )
    return Figures(scores, resampled, units)


def _weights(num_images: int, num_drawn: int, seed: int) -> Int64[np.ndarray, "resamples images"]:
    drawn = zip(range(num_drawn), image_weights(num_images, seed=seed), strict=False)
    rows = [weights for _, weights in drawn]
    return np.array(rows, dtype=np.int64).reshape(num_drawn, num_images)


def _recall(
    matches: Matched, truth: Truth, found: Found, weights: np.ndarray, limit: int
) -> ClassFigures:
    """Under the federated protocol the limit is one of the picture, which is matched anew."""
    if not truth.is_federated:
        return class_figures(matches, weights, most=limit)
    if not len(found.images) or np.bincount(found.images).max() <= limit:
        return class_figures(matches, weights)
    return class_figures(matched(truth, best_of_picture(found, limit)), weights)


def _mean(
    drawn: Float64[np.ndarray, "resamples thresholds classes"], of_group: np.ndarray
) -> Float64[np.ndarray, " resamples"]:
    """Over thresholds and the classes that a resample shows; NaN where it shows none."""
    own = drawn[:, :, of_group]
    known = ~np.isnan(own)
    count = known.sum(axis=(1, 2))
    total = np.where(known, own, 0.0).sum(axis=(1, 2))
    return np.divide(total, count, out=np.full(len(own), np.nan), where=count > 0)


def _num_pictures(matches: Matched, of_group: np.ndarray) -> int:
    """Pictures with a marked region of the group: what the spread rests on."""
    rows = of_group[matches.truth_labels] & (matches.truth_counts[0] > 0)
    return len(np.unique(matches.truth_images[rows]))
