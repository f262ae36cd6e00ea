"""How many close vectors a search within cells compares, measured against all on a sample."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from data_pipelines.curation.close_vectors import VectorsByCell
from data_pipelines.curation.vector_cells import BLOCK, Workers
from data_pipelines.schema import JsonValue
from data_pipelines.wilson import wilson_interval

_BAND, _BANDS = 0.01, 4
_QUANTILE = 1.96  # of an interval of 95%


class Nearest(NamedTuple):
    """The nearest earlier vector of each sampled one that has one; of equals the first.

    Attributes:
        cosines: to it.
        is_compared: whether the cells let the two be compared.
    """

    cosines: Float32[np.ndarray, " samples"]
    is_compared: Bool[np.ndarray, " samples"]


def nearest_earlier(
    vectors: VectorsByCell, workers: Workers, *, samples: int, seed: int
) -> Nearest:
    """Compare a random sample with every vector before each.

    Args:
        samples: how many, at most all.
    """
    rng = np.random.default_rng((seed, 1))
    places = np.sort(rng.choice(vectors.num, min(samples, vectors.num), replace=False))
    places = places[places > 0]
    own = vectors.at(places)

    def best(start: int) -> tuple[np.ndarray, np.ndarray]:
        others = np.arange(start, min(start + BLOCK, vectors.num))
        cosines = own @ vectors.at(others).T
        cosines[others[None, :] >= places[:, None]] = -2.0
        columns = cosines.argmax(axis=1)
        return cosines[np.arange(len(places)), columns], others[columns]

    cosines = np.full(len(places), -2.0, dtype=np.float32)
    nearest = np.zeros(len(places), dtype=np.int64)
    for found, others in workers.map(best, range(0, vectors.num, BLOCK)):
        is_closer = found > cosines
        cosines[is_closer], nearest[is_closer] = found[is_closer], others[is_closer]
    return Nearest(cosines, _are_compared(vectors, places, nearest))


def recall_by_band(nearest: Nearest, *, threshold: float) -> list[JsonValue]:
    """Of samples whose nearest earlier vector has a cosine within a band, the share for which the
    two are compared, with its interval (95%, Wilson); the last row is of all above the threshold.

    Args:
        threshold: least cosine of the first band.
    """
    edges = [*(threshold + _BAND * i for i in range(_BANDS + 1)), 2.0]
    edges = [edge for edge in edges if edge < 1.0 or edge == 2.0]
    bands = [*pairwise(edges), (threshold, 2.0)]
    rows: list[JsonValue] = []
    for low, high in bands:
        is_inside = (nearest.cosines >= low) & (nearest.cosines < high)
        number = int(is_inside.sum())
        compared = int((is_inside & nearest.is_compared).sum())
        row: dict[str, JsonValue] = {
            "cosine": [round(low, 6), round(min(high, 1.0), 6)],
            "samples": number,
        }
        if number:
            limits = wilson_interval(compared, number, quantile=_QUANTILE)
            row |= {"recall": compared / number, "interval": list(limits)}
        rows.append(row)
    return rows


def _are_compared(
    vectors: VectorsByCell, places: Int64[np.ndarray, " n"], others: Int64[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    return (vectors.nearest[places] == vectors.nearest[others][:, :1]).any(axis=1)
