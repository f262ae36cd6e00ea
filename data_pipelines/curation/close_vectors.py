"""Vectors that are close to an earlier one that stays, compared within cells, in order.

Each vector is compared with those leaders whose own cell is among the cells nearest to it. Vectors
come in blocks in their order: first against the leaders of all blocks before, then, what is left,
among themselves. So the many copies of one picture are compared with its first alone. Memory: the
vectors in fp16 and some 30 bytes each.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float16, Float32, Int64

from data_pipelines.curation.leaders import Pairs, followers
from data_pipelines.curation.vector_cells import BLOCK, Cells, Workers

_FIRST_BLOCK, _BLOCKS = 1024, 64


class CloseVectors(NamedTuple):
    """What goes, by place in the order.

    Attributes:
        places: of what goes, ascending.
        leaders: the closest leader of each, of equals the first.
        cosines: to it.
    """

    places: Int64[np.ndarray, " gone"]
    leaders: Int64[np.ndarray, " gone"]
    cosines: Float32[np.ndarray, " gone"]


class VectorsByCell:
    """Vectors by their cells, within each in order.

    Args:
        vectors_of: vectors of some ids, kept in fp16.
        cells: of all vectors.
    """

    def __init__(
        self,
        vectors_of: Callable[[Int64[np.ndarray, " ids"]], Float[np.ndarray, "ids dim"]],
        ids: Int64[np.ndarray, " ids"],
        cells: Cells,
    ) -> None:
        self.num = len(ids)
        self.nearest = cells.nearest
        home = cells.nearest[:, 0]
        self._places = np.argsort(home, kind="stable")
        self._starts = np.searchsorted(home[self._places], np.arange(len(cells.centroids) + 1))
        self._where = np.empty(self.num, dtype=np.int64)
        self._where[self._places] = np.arange(self.num)
        self._vectors = self._stored(vectors_of, ids, cells.centroids.shape[1])

    def _stored(
        self, vectors_of: Callable[..., np.ndarray], ids: np.ndarray, dim: int
    ) -> Float16[np.ndarray, "vectors dim"]:
        stored = np.empty((self.num, dim), dtype=np.float16)
        for start in range(0, self.num, BLOCK):
            stored[self._where[start : start + BLOCK]] = vectors_of(ids[start : start + BLOCK])
        return stored

    def members(self, cell: int) -> Int64[np.ndarray, " members"]:
        """Places of the vectors whose own cell this is, ascending."""
        return self._places[self._starts[cell] : self._starts[cell + 1]]

    def at(self, places: Int64[np.ndarray, " places"]) -> Float32[np.ndarray, "places dim"]:
        """Unit vectors in fp32."""
        found = self._vectors[self._where[places]].astype(np.float32)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found


def close_vectors(vectors: VectorsByCell, workers: Workers, *, threshold: float) -> CloseVectors:
    """What is at least this close to an earlier vector that stays.

    Args:
        threshold: least cosine.
    """
    is_leader = np.ones(vectors.num, dtype=np.bool_)
    nothing = np.zeros(0, dtype=np.int64)
    found = [CloseVectors(nothing, nothing, nothing.astype(np.float32))]
    for start, end in _blocks(vectors.num):
        found += _of_block(vectors, workers, is_leader, start, end, threshold)
    places, leaders, cosines = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.argsort(places)
    return CloseVectors(places[order], leaders[order], cosines[order])


def _blocks(number: int) -> Iterator[tuple[int, int]]:
    """Small at first, so that what is there many times is known early."""
    start, size, most = 0, _FIRST_BLOCK, max(BLOCK, number // _BLOCKS)
    while start < number:
        end = min(start + size, number)
        yield start, end
        start, size = end, min(2 * size, most)


def _of_block(
    vectors: VectorsByCell,
    workers: Workers,
    is_leader: Bool[np.ndarray, " vectors"],
    start: int,
    end: int,
    threshold: float,
) -> Iterator[CloseVectors]:
    """Marks what goes, and yields it."""
    before = _compared(
        vectors, workers, is_leader, np.arange(start, end), (0, start), threshold, only_closest=True
    )
    earlier = _closest(before)
    is_leader[earlier.places] = False
    yield earlier
    left = start + np.flatnonzero(is_leader[start:end])
    inside = _compared(
        vectors, workers, is_leader, left, (start, end), threshold, only_closest=False
    )
    order = np.lexsort((inside.first, inside.second))
    ordered = Pairs(*(column[order] for column in inside))
    gone = list(followers([ordered], is_leader))
    yield CloseVectors(
        np.array([one.place for one in gone], dtype=np.int64),
        np.array([one.leader for one in gone], dtype=np.int64),
        np.array([-one.apart for one in gone], dtype=np.float32),
    )


def _compared(
    vectors: VectorsByCell,
    workers: Workers,
    is_leader: Bool[np.ndarray, " vectors"],
    queries: Int64[np.ndarray, " queries"],
    among: tuple[int, int],
    threshold: float,
    *,
    only_closest: bool,
) -> Pairs:
    """Close pairs of queries with leaders before them; ``apart`` is minus the cosine.

    Args:
        among: first place of the leaders, and the one after the last.
        only_closest: of each query, and of each cell that it looks into.
    """
    cells = vectors.nearest[queries].ravel()
    rows = np.repeat(queries, vectors.nearest.shape[1])
    order = np.argsort(cells, kind="stable")
    edges = np.flatnonzero(np.diff(cells[order], prepend=-1, append=-2))
    work = [(int(cells[order[a]]), rows[order[a:b]]) for a, b in pairwise(edges)]

    def one(piece: tuple[int, np.ndarray]) -> Pairs:
        cell, own = piece
        members = vectors.members(cell)
        members = members[slice(*np.searchsorted(members, among))]
        members = members[is_leader[members]]
        return _pairs(vectors, own, members, threshold, only_closest=only_closest)

    pieces = [_pairs(vectors, queries[:0], queries[:0], threshold, only_closest=True)]
    pieces += workers.map(one, work)
    return Pairs(*(np.concatenate(column) for column in zip(*pieces, strict=True)))


def _pairs(
    vectors: VectorsByCell,
    queries: Int64[np.ndarray, " queries"],
    members: Int64[np.ndarray, " members"],
    threshold: float,
    *,
    only_closest: bool,
) -> Pairs:
    firsts, seconds, apart = [members[:0]], [queries[:0]], [np.zeros(0, dtype=np.float32)]
    others = vectors.at(members)
    for start in range(0, len(queries) if len(members) else 0, BLOCK):
        own = queries[start : start + BLOCK]
        cosines = vectors.at(own) @ others.T
        if only_closest:
            columns = cosines.argmax(axis=1)
            rows = np.flatnonzero(cosines[np.arange(len(own)), columns] >= threshold)
            columns = columns[rows]
        else:
            rows, columns = np.nonzero(cosines >= threshold)
            is_before = members[columns] < own[rows]
            rows, columns = rows[is_before], columns[is_before]
        firsts.append(members[columns])
        seconds.append(own[rows])
        apart.append(-cosines[rows, columns])
    return Pairs(*(np.concatenate(column) for column in (firsts, seconds, apart)))


def _closest(pairs: Pairs) -> CloseVectors:
    """Of each second its closest first."""
    order = np.lexsort((pairs.first, pairs.apart, pairs.second))
    second = pairs.second[order]
    kept = order[np.diff(second, prepend=-1) != 0]
    return CloseVectors(pairs.second[kept], pairs.first[kept], -pairs.apart[kept])
