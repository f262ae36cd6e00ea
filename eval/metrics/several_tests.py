"""p values of many comparisons, corrected for their number."""

from collections.abc import Sequence

import numpy as np

HOLM = "Holm's correction"
#: Of a family of comparisons, at most so often a single one is marked that is none.
LEVEL = 0.05


def holm(p_values: Sequence[float]) -> list[float]:
    """p values after Holm 1979 (Scandinavian Journal of Statistics 6, 65), in the same order.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none is below a smaller
    one's, none above 1. Whatever the dependence of the tests, the chance that any of those of true
    hypotheses is at most ``LEVEL`` is at most ``LEVEL``.
    """
    if not p_values:
        return []
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    stepped = np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected.tolist()
