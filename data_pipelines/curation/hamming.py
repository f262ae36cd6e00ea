"""Pairs of 64-bit hashes that differ in few bits, by equal parts, as joins of a database.

Manku et al. 2007, "Detecting Near-Duplicates for Web Crawling", section 3: cut the bits into b
blocks; where at most k bits differ, at least b - k blocks are equal. For each choice of b - k
blocks the hashes that agree there are compared, each pair under the first choice that it agrees on.
The result is exact; b only sets how much is compared.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from math import comb

BITS = 64

#: Hashes of pictures are less mixed than random bits: a bit tells them apart by so much of one.
_BIT_WORTH = 0.75
_MOST_JOINS = 64


def close_pairs(left: str, right: str, *, most: int, sizes: tuple[int, int], also: str) -> str:
    """A query for pairs of two relations (of a relation with itself) that differ in few bits.

    Args:
        left, right: relations with ``place``, ``phash`` (UBIGINT) and ``path``.
        most: differing bits, at most.
        sizes: rows of the two.
        also: a condition on the rows ``a`` and ``b`` besides, such as "a.place < b.place".
    Returns:
        SQL with the columns ``first`` (place in ``left``), ``second`` (in ``right``), ``apart``.
    """
    apart = "bit_count(xor(a.phash, b.phash))"
    found: list[str] = []
    earlier: list[int] = []
    for mask in masks(most, sizes):
        seen = "".join(f" AND xor(a.phash, b.phash) & {_literal(one)} != 0" for one in earlier)
        found.append(
            f"""SELECT a.place AS first, b.place AS second, {apart} AS apart
            FROM {left} AS a JOIN {right} AS b ON a.path = b.path
                AND a.phash & {_literal(mask)} = b.phash & {_literal(mask)}
            WHERE {apart} <= {most} AND {also}{seen}"""
        )
        earlier.append(mask)
    return " UNION ALL ".join(found)


def masks(most: int, sizes: tuple[int, int]) -> list[int]:
    """The bits that are compared first, choice by choice, for the least work."""
    counts = [
        count
        for count in range(most + 1, BITS + 1)
        if count == most + 1 or comb(count, most) <= _MOST_JOINS
    ]
    best = min(counts, key=lambda count: _work(count, most, sizes))
    blocks = list(_blocks(best))
    return [sum(chosen) for chosen in combinations(blocks, best - most)]


def _work(count: int, most: int, sizes: tuple[int, int]) -> float:
    """Rows that are read and pairs that are compared with this number of blocks."""
    equal = BITS * (count - most) / count * _BIT_WORTH
    return comb(count, most) * (sum(sizes) + sizes[0] * sizes[1] / 2**equal)


def _blocks(count: int) -> Iterator[int]:
    edges = [BITS * i // count for i in range(count + 1)]
    for start, end in pairwise(edges):
        yield ((1 << end) - 1) ^ ((1 << start) - 1)


def _literal(mask: int) -> str:
    return f"{mask}::UBIGINT"
