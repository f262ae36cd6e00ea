"""Unit vectors in cells: spherical k-means on a sample, and the cells nearest to each vector.

Every piece of work has a fixed size and is done by one thread, so that the result is the same for
any number of them.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from math import isqrt
from typing import Any, NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32, Int32, Int64

#: Vectors that are worked on at a time.
BLOCK = 8192

#: Below this number all are compared with all: one cell.
EXACT = 4096

_PER_CELL = 64  # vectors that k-means sees for each cell

In = TypeVar("In")
Out = TypeVar("Out")


class Cells(NamedTuple):
    """Where vectors lie.

    Attributes:
        centroids: unit vectors.
        nearest: cells of each vector, the nearest first: its own.
    """

    centroids: Float32[np.ndarray, "cells dim"]
    nearest: Int32[np.ndarray, "vectors probes"]


class Workers:
    """Threads that each compute on one core; see ``working``."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def map(self, work: Callable[[In], Out], pieces: Iterable[In]) -> Iterator[Out]:
        """The results in the order of the pieces."""
        return self._pool.map(work, pieces)


@contextmanager
def working(threads: int) -> Iterator[Workers]:
    """Threads whose linear algebra runs in themselves alone."""
    from threadpoolctl import threadpool_limits

    with (
        threadpool_limits(1, user_api="blas"),
        ThreadPoolExecutor(threads, initializer=_alone) as pool,
    ):
        yield Workers(pool)


def cells_of(
    vectors_of: Callable[[Int64[np.ndarray, " ids"]], Float32[np.ndarray, "ids dim"]],
    ids: Int64[np.ndarray, " ids"],
    workers: Workers,
    *,
    cells: int | None,
    probes: int,
    iterations: int,
    seed: int,
) -> Cells:
    """Cells of all vectors.

    Args:
        vectors_of: unit vectors of some ids.
        cells: number of them; None: the root of the number of vectors, or one below ``EXACT``.
        probes: nearest cells that are wanted of each vector, at most all.
        iterations, seed: of k-means, which sees 64 vectors for each cell.
    """
    number = len(ids)
    if not number:
        dim = vectors_of(ids).shape[1]
        return Cells(np.zeros((0, dim), np.float32), np.zeros((0, 1), np.int32))
    count = min(cells or (1 if number <= EXACT else isqrt(number)), number)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.choice(number, min(number, _PER_CELL * count), replace=False))
    (centroids,) = workers.map(
        lambda own: _centroids(own, count, iterations, seed), [vectors_of(ids[chosen])]
    )
    wanted = min(probes, count)
    blocks = [ids[start : start + BLOCK] for start in range(0, number, BLOCK)]
    found = workers.map(lambda own: _nearest(vectors_of(own), centroids, wanted), blocks)
    return Cells(centroids, np.concatenate(list(found)))


def _centroids(
    vectors: Float32[np.ndarray, "vectors dim"], count: int, iterations: int, seed: int
) -> Float32[np.ndarray, "cells dim"]:
    import faiss

    kmeans = faiss.Kmeans(
        vectors.shape[1],
        count,
        niter=iterations,
        spherical=True,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=_PER_CELL,
    )
    kmeans.train(np.ascontiguousarray(vectors))
    assert kmeans.centroids is not None
    return kmeans.centroids


def _nearest(
    vectors: Float32[np.ndarray, "vectors dim"],
    centroids: Float32[np.ndarray, "cells dim"],
    wanted: int,
) -> Int32[np.ndarray, "vectors probes"]:
    import faiss

    _, places = faiss.knn(vectors, centroids, wanted, metric=faiss.METRIC_INNER_PRODUCT)
    return places.astype(np.int32)


def _alone(*_: Any) -> None:
    """faiss computes in this thread alone; OpenMP keeps that number for each thread."""
    import faiss

    faiss.omp_set_num_threads(1)
