"""Which samples stay where many are like others: the first of each, and what nothing kept is like.

In the order of places, a sample that is like an earlier one that stayed goes, and names it; every
other stays and is a leader. So a sample that went never makes another go, and everything that went
is like something that stayed. (SemDeDup's code, Abbas et al. 2023, arXiv 2303.09540, compares with
all earlier ones, those that went too: a chain of small steps then leaves its first link alone.)
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int64, Num


class Pairs(NamedTuple):
    """Pairs of places that are alike, ``first`` before ``second``, sorted by ``second``."""

    first: Int64[np.ndarray, " pairs"]
    second: Int64[np.ndarray, " pairs"]
    apart: Num[np.ndarray, " pairs"]


class Follower(NamedTuple):
    """A place that goes, the leader nearest to it (of equals the first), and how far that is."""

    place: int
    leader: int
    apart: float


def followers(pairs: Iterable[Pairs], is_leader: Bool[np.ndarray, " places"]) -> Iterator[Follower]:
    """What goes, in order.

    Args:
        pairs: in pieces that together are sorted by ``second``; one sample's pairs may span two.
        is_leader: True at the beginning; what goes becomes False on the way.
    """
    for own in _by_second(pairs):
        candidates = np.flatnonzero(is_leader[own.first])
        if not len(candidates):
            continue
        firsts, apart = own.first[candidates], own.apart[candidates]
        nearest = np.lexsort((firsts, apart))[0]
        place = int(own.second[0])
        is_leader[place] = False
        yield Follower(place, int(firsts[nearest]), float(apart[nearest]))


def _by_second(pairs: Iterable[Pairs]) -> Iterator[Pairs]:
    """The pairs of each ``second`` at once."""
    left: Pairs | None = None
    for piece in pairs:
        if not len(piece.second):
            continue
        if left is not None:
            piece = Pairs(*(np.concatenate(both) for both in zip(left, piece, strict=True)))
        starts = np.flatnonzero(np.diff(piece.second, prepend=piece.second[0] - 1))
        for start, end in pairwise(starts):
            yield Pairs(*(column[start:end] for column in piece))
        left = Pairs(*(column[starts[-1] :] for column in piece))
    if left is not None:
        yield left
