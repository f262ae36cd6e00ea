"""Three ordered classes from one score: two cut points that make most rows right.

Our own device for models that give a score and no label: scores below the first point are the
lowest class, from the second on the highest. The points are fitted on some rows and used on others.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64


class CutPoints(NamedTuple):
    """``low`` <= ``high``, in the unit of the scores; infinite where a class is never given."""

    low: float
    high: float

    def classify(self, scores: Float64[np.ndarray, " rows"]) -> Int64[np.ndarray, " rows"]:
        """0 below ``low``, 1 below ``high``, else 2."""
        return (scores >= self.low).astype(np.int64) + (scores >= self.high)


def fit_cut_points(
    scores: Float64[np.ndarray, " rows"], classes: Int64[np.ndarray, " rows"]
) -> CutPoints:
    """The points with the highest accuracy on these rows; of several the lowest pair.

    All pairs between neighbouring different scores are compared, in one pass over sorted scores.

    Args:
        scores: finite, at least one.
        classes: 0, 1 or 2; larger scores should mean larger classes.
    """
    order = np.argsort(scores, kind="stable")
    values, own = scores[order], classes[order]
    below = np.stack([np.concatenate([[0], np.cumsum(own == c)]) for c in range(3)])
    can_cut = np.concatenate([[True], values[1:] > values[:-1], [True]])
    # right answers if cut at i and j: class 0 below i, class 1 from i to j, class 2 from j on
    first = np.where(can_cut, below[0] - below[1], -len(own) - 1)
    second = np.where(can_cut, below[1] - below[2], -len(own) - 1)
    best_before = np.maximum.accumulate(first)
    j = int(np.argmax(best_before + second))
    i = int(np.argmax(first[: j + 1] == best_before[j]))
    return CutPoints(_between(values, i), _between(values, j))


def _between(values: Float64[np.ndarray, " rows"], place: int) -> float:
    """Halfway between two neighbours, or the upper one where nothing lies between."""
    if place == 0:
        return -np.inf
    if place == len(values):
        return np.inf
    return float(
        max((values[place - 1] + values[place]) / 2, np.nextafter(values[place - 1], np.inf))
    )
