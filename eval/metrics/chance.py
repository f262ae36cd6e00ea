"""What guessing would reach, exactly, for the very gallery that is ranked."""

import numpy as np
from jaxtyping import Int64


def chance_of_any_own(
    own_counts: Int64[np.ndarray, " queries"], *, gallery_size: int, k: int
) -> float:
    """Expected recall at k of a ranking in random order.

    A query that owns m of the g entries misses with probability C(g - m, k) / C(g, k), the
    hypergeometric distribution at zero; the mean of the complement over all queries.

    Args:
        own_counts: entries that belong to each query, each at least 1.
        gallery_size: entries in all.
        k: length of the list looked at, at least 1.
    Returns:
        In (0, 1].
    """
    counts, weights = np.unique(own_counts, return_counts=True)
    missed = np.ones(len(counts))
    for drawn in range(min(k, gallery_size)):
        missed *= np.maximum(gallery_size - counts - drawn, 0) / (gallery_size - drawn)
    return float(np.average(1.0 - missed, weights=weights))
