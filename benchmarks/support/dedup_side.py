"""Deduplication by vectors: our cells beside comparing all, and what the cells let meet."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32
from threadpoolctl import threadpool_limits

from data_pipelines.curation.close_vectors import CloseVectors, VectorsByCell, close_vectors
from data_pipelines.curation.filters.semantic_duplicates import SemanticDuplicates
from data_pipelines.curation.recall import nearest_earlier, recall_by_band
from data_pipelines.curation.vector_cells import cells_of, working

_BLOCK = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnDedup:
    """What our filter does with its own settings, in one thread.

    Attributes:
        found: what goes.
        vectors: in their cells.
        seconds: of processor time.
    """

    found: CloseVectors
    vectors: VectorsByCell
    seconds: float


def own_dedup(vectors: Float32[np.ndarray, "n dim"], *, threshold: float) -> OwnDedup:
    """Cells and leaders, as ``semantic-duplicates`` does them by default."""
    settings = SemanticDuplicates(threshold=threshold)
    ids = np.arange(len(vectors))
    start = time.process_time()
    with working(1) as workers:
        cells = cells_of(
            lambda own: vectors[own],
            ids,
            workers,
            cells=settings.cells,
            probes=settings.probes,
            iterations=settings.iterations,
            seed=settings.seed,
        )
        by_cell = VectorsByCell(lambda own: vectors[own], ids, cells)
        found = close_vectors(by_cell, workers, threshold=threshold)
    return OwnDedup(found=found, vectors=by_cell, seconds=time.process_time() - start)


def brute_force(vectors: Float32[np.ndarray, "n dim"], *, threshold: float) -> tuple[int, float]:
    """Number of pairs from a threshold on, and processor seconds: all cosines, in blocks."""
    start, pairs = time.process_time(), 0
    with threadpool_limits(1, user_api="blas"):
        for begin in range(0, len(vectors), _BLOCK):
            own = vectors[begin : begin + _BLOCK]
            for other in range(0, begin + 1, _BLOCK):
                cosines = own @ vectors[other : other + _BLOCK].T
                if other == begin:
                    cosines = np.tril(cosines, -1)
                pairs += int((cosines >= threshold).sum())
    return pairs, time.process_time() - start


def recalled(own: OwnDedup, *, samples: int, seed: int, threshold: float) -> dict[str, Any]:
    """Recall by band of cosine, against comparing with every earlier vector.

    Args:
        samples: that are compared with all.
    Returns:
        The rows, and recall with its interval above the threshold + 0.01, where the goal is.
    """
    with working(1) as workers:
        nearest = nearest_earlier(own.vectors, workers, samples=samples, seed=seed)
    over = recall_by_band(nearest, threshold=threshold + 0.01)[-1]
    assert isinstance(over, dict)
    return {
        "by_cosine": recall_by_band(nearest, threshold=threshold),
        "over_samples": over["samples"],
        "over": over.get("recall"),
        "over_interval": over.get("interval"),
    }


def made_up_vectors(number: int, dim: int, *, seed: int) -> Float32[np.ndarray, "number dim"]:
    """Unit vectors in many small clusters, about four to each."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((max(1, number // 4), dim)).astype(np.float32)
    found = centers[rng.integers(len(centers), size=number)]
    found += 0.2 * rng.standard_normal((number, dim)).astype(np.float32)
    return unit(found)


def unit(vectors: np.ndarray) -> Float32[np.ndarray, "n dim"]:
    """Of length one, those of length 0 left out."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors[lengths[:, 0] > 0] / lengths[lengths[:, 0] > 0]).astype(np.float32)
