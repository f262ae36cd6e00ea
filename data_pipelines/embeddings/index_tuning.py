"""How much an index of vectors has to look at, for the recall that was asked for.

How many lists (``nprobe``) or neighbours (``efSearch``) are looked at is doubled until the recall
at ``k`` against all vectors reaches that, by the lower end of its interval. It is measured on
stored texts where pictures are searched and there are texts, since texts lie elsewhere than
pictures; else on vectors of the same kind that are put into the index only then, since what is in
it is found more easily (HNSW: 0.99 in place of 0.97).

A vector counts as found where it is as near as the k-th nearest: of many equal vectors, such as
captions that repeat, an index may find others than those that come first in order.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64

from data_pipelines.embeddings.exact import nearest
from data_pipelines.embeddings.folder import Embeddings
from data_pipelines.errors import ConfigError, DataError

IVF, HNSW = "ivf", "hnsw"

_QUERIES = 200  # that the recall is measured with
_ROUNDING = 1e-6  # of a cosine, by the order in which it is summed


class Recall(NamedTuple):
    """Share of the nearest vectors that an index finds.

    Attributes:
        share: mean over the queries.
        low, high: 95% interval over the queries.
        looked_at: lists, or neighbours, that it looks at.
        queries: how many, and of which kind ("200 texts").
        added_last: rows of the queries that are in the index, behind all others.
    """

    share: float
    low: float
    high: float
    looked_at: int
    queries: str
    added_last: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexChoice:
    """Which index, and how good.

    Attributes:
        kind: of the vectors, ``images`` or ``texts``.
        name: ``ivf`` or ``hnsw``.
        recall: at ``k``, that the lower end of its interval has to reach.
        seed: of the sampled queries and of the centres.
    """

    kind: str
    name: str = IVF
    recall: float = 0.98
    k: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1:
            raise ConfigError(f"recall={self.recall}: give more than 0, at most 1")


class Questions(NamedTuple):
    """What the recall is measured with; see ``Recall``."""

    vectors: np.ndarray
    told: str
    added_last: tuple[int, ...]


def lists_of(count: int) -> int:
    """Lists of an IVF index of so many vectors: about four times the root."""
    return max(1, min(round(4 * math.sqrt(count)), count // 39))


def questions_for(embeddings: Embeddings, choice: IndexChoice) -> Questions:
    """Stored vectors of the other kind where there are some, else some of the same."""
    others = [kind for kind in embeddings.kinds if kind != choice.kind]
    rng = np.random.default_rng(choice.seed)
    count = max(1, min(_QUERIES, len(embeddings) // 2))
    rows = np.sort(rng.choice(len(embeddings), size=count, replace=False).astype(np.int64))
    if others:
        return Questions(sampled(embeddings, others[0], rows), f"{count} {others[0]}", ())
    vectors = sampled(embeddings, choice.kind, rows)
    told = f"{count} {choice.kind} that were not in it yet"
    return Questions(vectors, told, tuple(rows.tolist()))


def tuned(index: Any, embeddings: Embeddings, choice: IndexChoice, asked: Questions) -> Recall:
    """Look at more until the recall is reached.

    Args:
        index: with all vectors but the questions' own; keeps how much it looks at in the end.
    Raises:
        DataError: the recall cannot be reached.
    """
    queries, last = asked.vectors, asked.added_last
    wanted = _limits(embeddings, choice, asked)
    looked_at, most = 1, lists_of(len(embeddings)) if choice.name == IVF else 4096
    while True:
        look_at(index, choice.name, looked_at)
        _, numbers = index.search(queries, choice.k)
        rows = rows_of(numbers, len(embeddings), last)
        is_near = cosines_of(embeddings, choice.kind, queries, rows) >= wanted.cosines[:, None]
        recall = _share(is_near.sum(axis=1) / wanted.counts, looked_at, asked)
        is_whole = looked_at >= most
        if recall.low >= choice.recall or (is_whole and recall.share >= choice.recall):
            return recall
        if is_whole:
            raise DataError(
                f"the index finds {recall.share:.3f} of the nearest at most, less than "
                f"{choice.recall}; search exactly, or ask for less by --recall"
            )
        looked_at = min(2 * looked_at, most)


class _Limits(NamedTuple):
    """Of each query: cosine of the last of the nearest, and how many of these there are."""

    cosines: Float64[np.ndarray, " queries"]
    counts: Int64[np.ndarray, " queries"]


def _limits(embeddings: Embeddings, choice: IndexChoice, asked: Questions) -> _Limits:
    """The nearest of all vectors but the questions' own."""
    last = asked.added_last
    found = nearest(embeddings.vectors(choice.kind), asked.vectors, choice.k + len(last))
    is_other = (found.rows >= 0) & ~np.isin(found.rows, last)
    own = [
        row[known][: choice.k].astype(np.float64)
        for row, known in zip(found.cosines, is_other, strict=True)
    ]
    cosines = np.array([one[-1] if len(one) else np.inf for one in own])
    return _Limits(cosines - _ROUNDING, np.array([max(1, len(one)) for one in own]))


def rows_of(numbers: np.ndarray, count: int, added_last: tuple[int, ...]) -> np.ndarray:
    """Rows by the numbers that an index gives vectors as they are added; -1 stays."""
    last = np.array(added_last, dtype=np.int64)
    before = np.searchsorted(last - np.arange(len(last)), numbers, side="right")
    place = np.clip(numbers - (count - len(last)), 0, max(0, len(last) - 1))
    rows = np.where(numbers < count - len(last), numbers + before, last[place] if len(last) else 0)
    return np.where(numbers < 0, -1, rows).astype(np.int64)


def sampled(
    embeddings: Embeddings, kind: str, rows: Int64[np.ndarray, " rows"]
) -> Float32[np.ndarray, "rows embed_dim"]:
    """Some vectors, in the order of their numbers."""
    found, first = [], 0
    for part in embeddings.vectors(kind):
        own = rows[(rows >= first) & (rows < first + len(part))] - first
        found.append(np.asarray(part[own], dtype=np.float32))
        first += len(part)
    return np.concatenate(found)


def cosines_of(
    embeddings: Embeddings,
    kind: str,
    queries: Float32[np.ndarray, "queries embed_dim"],
    rows: Int64[np.ndarray, "queries k"],
) -> Float32[np.ndarray, "queries k"]:
    """Of the stored vectors that each query found; -inf in places (-1) that have none."""
    wanted = np.unique(rows[rows >= 0])
    vectors = sampled(embeddings, kind, wanted)
    cosines = np.full(rows.shape, -np.inf, dtype=np.float32)
    for query, own in enumerate(rows):
        known = own >= 0
        cosines[query, known] = vectors[np.searchsorted(wanted, own[known])] @ queries[query]
    return cosines


def look_at(index: Any, name: str, number: int) -> None:
    """Set how many lists or neighbours an index looks at."""
    if name == HNSW:
        index.hnsw.efSearch = number
    else:
        index.nprobe = number


def _share(shares: Float64[np.ndarray, " queries"], looked_at: int, asked: Questions) -> Recall:
    spread = 1.96 * float(shares.std()) / math.sqrt(len(shares))
    mean = float(shares.mean())
    share, low, high = (
        round(number, 5) for number in (mean, max(0.0, mean - spread), min(1.0, mean + spread))
    )
    return Recall(share, low, high, looked_at, asked.told, asked.added_last)
