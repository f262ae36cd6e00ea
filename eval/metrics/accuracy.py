"""Shares of hits."""

import numpy as np
from jaxtyping import Bool, Int64


def mean_per_class_recall(
    is_hit: Bool[np.ndarray, " samples"], labels: Int64[np.ndarray, " samples"]
) -> float:
    """Share of hits within each class, averaged over the classes that have samples.

    Args:
        is_hit: at least one sample.
        labels: class index of each sample.
    Returns:
        In [0, 1].
    """
    num_samples = np.bincount(labels)
    num_hits = np.bincount(labels, weights=is_hit)
    present = num_samples > 0
    return float((num_hits[present] / num_samples[present]).mean())
