"""The scores of one class a picture, from the place of the right one: top-k and mean recall."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from eval.metrics.intervals import per_class_score, wilson_score
from eval.results import PerImage, PerUnit, Score

_TOP_K = (1, 5)
_RECALL = "mean_per_class_recall"


class ClassScores(NamedTuple):
    """What a result holds of them; top5 where at least 5 classes are ranked."""

    scores: dict[str, Score]
    chance: dict[str, float]
    per_image: dict[str, PerImage]
    per_unit: dict[str, PerUnit]


def class_scores(
    places: Int64[np.ndarray, " images"],
    labels: Int64[np.ndarray, " images"],
    rows: Int64[np.ndarray, " images"],
    *,
    num_ranked: int,
    num_classes: int,
    num_images: int,
    seed: int,
) -> ClassScores:
    """Scores of the pictures that could be read.

    Args:
        places: of the right class of each; 0 is the top.
        labels: the right class.
        rows: number of each picture in the data set.
        num_ranked: classes that are ranked.
        num_classes: that a guess chooses from.
        num_images: of the data set.
        seed: of the recall's interval.
    """
    hits = {f"top{k}": places < k for k in _TOP_K if k <= num_ranked}
    scores = {name: wilson_score(own) for name, own in hits.items()}
    scores[_RECALL] = per_class_score(places < 1, labels, seed=seed)
    chance = {f"top{k}": k / num_classes for k in _TOP_K if k <= num_ranked}
    return ClassScores(
        scores,
        chance | {_RECALL: 1 / num_classes},
        {name: PerImage.pack(own, rows, num_images) for name, own in hits.items()},
        {_RECALL: PerUnit.of_class_recall(places < 1, labels, rows)},
    )
