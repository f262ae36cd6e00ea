"""Places after the best candidates of each query were put in a new order."""

import numpy as np
from jaxtyping import Bool, Float, Int64


def reranked_places(
    candidates: Int64[np.ndarray, "queries candidates"],
    scores: Float[np.ndarray, "queries candidates"],
    is_right: Bool[np.ndarray, "queries candidates"],
    places_before: Int64[np.ndarray, " queries"],
) -> Int64[np.ndarray, " queries"]:
    """Place of the first right answer; 0 is the top.

    What is not among the candidates keeps its place behind them: a query none of whose candidates
    is right keeps the place it had.

    Args:
        candidates: numbers of gallery entries; equal scores are ordered by them.
        scores: higher is better.
        is_right: whether each candidate answers the query.
        places_before: of the first right answer in the ranking that the candidates head.
    """
    order = np.lexsort((candidates, -scores), axis=1)
    right = np.take_along_axis(is_right, order, axis=1)
    return np.where(right.any(axis=1), right.argmax(axis=1), places_before).astype(np.int64)
