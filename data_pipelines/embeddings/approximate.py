"""Indexes that look at few of the vectors: IVF and HNSW of faiss, with a recall that is measured.

Vectors are kept as fp16 in either. How many lists (``nprobe``) or neighbours (``efSearch``) are
looked at is doubled until the recall at ``k`` against all vectors reaches what was asked for, on
sampled queries: the stored texts where pictures are searched and there are texts, since texts lie
elsewhere than pictures; else vectors of the same kind, each without itself.
"""

import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from data_pipelines.bounded_json import read_json
from data_pipelines.embeddings.exact import Nearest, nearest
from data_pipelines.embeddings.folder import Embeddings
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.shards.atomic import make_folder, write_file

IVF, HNSW = "ivf", "hnsw"

_INDEX, _ABOUT = "index.faiss", "about.json"
_LINKS = 32  # of a vector of HNSW, twice as many on its lowest level
_CONSTRUCTION = 200  # neighbours that HNSW looks at while it is built
_TRAINING = 64  # vectors a list, for the centres
_ADDED = 1 << 16  # at once
_QUERIES = 200  # that the recall is measured with


class Cost(NamedTuple):
    """Bytes of memory while an index is built, and of the index on disk."""

    memory: int
    disk: int


class Recall(NamedTuple):
    """Share of the nearest vectors that an index finds.

    Attributes:
        share: mean over the queries.
        low, high: 95% interval over the queries.
        looked_at: lists, or neighbours, that it looks at.
        queries: how many, and of which kind ("200 texts").
    """

    share: float
    low: float
    high: float
    looked_at: int
    queries: str


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexChoice:
    """Which index, and how good.

    Attributes:
        kind: of the vectors, ``images`` or ``texts``.
        name: ``ivf`` or ``hnsw``.
        recall: at ``k``, that it has to reach.
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


def lists_of(count: int) -> int:
    """Lists of an IVF index of so many vectors: about four times the root."""
    return max(1, min(round(4 * math.sqrt(count)), count // 39))


def cost(count: int, embed_dim: int, name: str) -> Cost:
    """What an index takes, said before it is built."""
    if name == HNSW:
        own = count * (2 * embed_dim + 4 * 2 * _LINKS + 4 * _LINKS // 16 + 24)
        return Cost(own + _ADDED * embed_dim * 4, own)
    lists = lists_of(count)
    own = count * (2 * embed_dim + 8) + lists * embed_dim * 4
    trained = min(count, lists * _TRAINING) * embed_dim * 4
    return Cost(own + 2 * max(trained, _ADDED * embed_dim * 4), own)


def memory_free() -> int | None:
    """Bytes that a process may still take; None where the machine does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


class ApproximateIndex:
    """An index over the vectors of a folder; see ``open_index`` and ``build_index``."""

    def __init__(self, index: Any, choice: IndexChoice, recall: Recall) -> None:
        self._index = index
        self.choice = choice
        self.recall = recall
        _look_at(index, choice.name, recall.looked_at)

    def nearest(
        self, embeddings: Embeddings, queries: Float32[np.ndarray, "queries embed_dim"], k: int
    ) -> Nearest:
        """As ``exact.nearest``; cosines are those of the stored vectors.

        Raises:
            DataError: stored vectors are missing.
        """
        _, rows = self._index.search(np.ascontiguousarray(queries), k)
        return _rescored(embeddings, self.choice.kind, queries, rows.astype(np.int64))


def build_index(embeddings: Embeddings, choice: IndexChoice, folder: Path) -> ApproximateIndex:
    """Build an index, measure its recall, and store it.

    Raises:
        DataError: the recall cannot be reached, or the folder cannot be written.
        ConfigError: there is too little memory.
    """
    needed, free = cost(len(embeddings), embeddings.embed_dim, choice.name).memory, memory_free()
    if free is not None and needed > free:
        raise ConfigError(
            f"the index needs {needed / 1e9:,.1f} GB of memory and {free / 1e9:,.1f} GB are free; "
            "search exactly (--index exact) or on a larger machine"
        )
    index = _filled(embeddings, choice)
    recall = _tuned(index, embeddings, choice)
    make_folder(folder)
    (folder / _ABOUT).unlink(missing_ok=True)
    _store(index, folder)
    about = {
        "embeddings": embeddings.digest,
        "choice": asdict(choice),
        "recall": recall._asdict(),
        "vectors": len(embeddings),
        "embed_dim": embeddings.embed_dim,
    }
    write_file(folder / _ABOUT, (json.dumps(about, indent=1) + "\n").encode())
    return ApproximateIndex(index, choice, recall)


def open_index(
    embeddings: Embeddings, choice: IndexChoice, folder: Path
) -> ApproximateIndex | None:
    """The stored index of these vectors; None where there is none, or another."""
    import faiss

    try:
        about = read_json(folder / _ABOUT)
        is_own = about["embeddings"] == embeddings.digest and about["choice"] == asdict(choice)
        recall = Recall(**about["recall"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not is_own:
        return None
    flags = faiss.IO_FLAG_MMAP if choice.name == IVF else 0
    try:
        index = faiss.read_index(str(folder / _INDEX), flags)
    except RuntimeError:
        return None
    return ApproximateIndex(index, choice, recall)


def _filled(embeddings: Embeddings, choice: IndexChoice) -> Any:
    import faiss

    width, metric = embeddings.embed_dim, faiss.METRIC_INNER_PRODUCT
    half = faiss.ScalarQuantizer.QT_fp16
    if choice.name == HNSW:
        index = faiss.IndexHNSWSQ(width, half, _LINKS, metric)
        index.hnsw.efConstruction = _CONSTRUCTION
    else:
        lists = lists_of(len(embeddings))
        index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(width), width, lists, half, metric)
        index.cp.seed, index.cp.min_points_per_centroid = choice.seed + 1, 1
        index.cp.max_points_per_centroid = _TRAINING
    index.train(_sampled(embeddings, choice.kind, _training_rows(len(embeddings))))
    for part in embeddings.vectors(choice.kind):
        for start in range(0, len(part), _ADDED):
            index.add(np.ascontiguousarray(part[start : start + _ADDED], dtype=np.float32))
    return index


def _training_rows(count: int) -> Int64[np.ndarray, " rows"]:
    """Evenly spaced."""
    wanted = min(count, max(1, lists_of(count) * _TRAINING))
    return np.unique(np.linspace(0, count - 1, wanted).astype(np.int64))


def _sampled(
    embeddings: Embeddings, kind: str, rows: Int64[np.ndarray, " rows"]
) -> Float32[np.ndarray, "rows embed_dim"]:
    """Some vectors, in the order of their numbers."""
    found, first = [], 0
    for part in embeddings.vectors(kind):
        own = rows[(rows >= first) & (rows < first + len(part))] - first
        found.append(np.asarray(part[own], dtype=np.float32))
        first += len(part)
    return np.concatenate(found)


def _tuned(index: Any, embeddings: Embeddings, choice: IndexChoice) -> Recall:
    """Look at more until the recall is reached."""
    others = [kind for kind in embeddings.kinds if kind != choice.kind]
    asked = others[0] if others else choice.kind
    rng = np.random.default_rng(choice.seed)
    count = min(_QUERIES, len(embeddings))
    rows = np.sort(rng.choice(len(embeddings), size=count, replace=False).astype(np.int64))
    queries = _sampled(embeddings, asked, rows)
    own = rows if asked == choice.kind else np.full(count, -1, dtype=np.int64)
    wanted = _without(nearest(embeddings.vectors(choice.kind), queries, choice.k + 1).rows, own)
    looked_at, most = 1, lists_of(len(embeddings)) if choice.name == IVF else 4096
    while True:
        _look_at(index, choice.name, looked_at)
        _, rows_found = index.search(queries, choice.k + 1)
        found = _without(rows_found.astype(np.int64), own)
        shares = np.array(
            [
                len(set(a[: choice.k]) & set(b[: choice.k])) / min(choice.k, len(b))
                for a, b in zip(found, wanted, strict=True)
            ]
        )
        if shares.mean() >= choice.recall:
            spread = 1.96 * float(shares.std()) / math.sqrt(count)
            mean = float(shares.mean())
            low, high = max(0.0, mean - spread), min(1.0, mean + spread)
            told = [round(number, 5) for number in (mean, low, high)]
            return Recall(*told, looked_at, f"{count} {asked}")
        if looked_at >= most:
            raise DataError(
                f"the index finds {shares.mean():.3f} of the nearest at most, less than "
                f"{choice.recall}; search exactly, or ask for less by --recall"
            )
        looked_at = min(2 * looked_at, most)


def _without(rows: np.ndarray, own: np.ndarray) -> list[list[int]]:
    """Rows that were found, but for the query itself and for places without any."""
    return [
        [row for row in found if row not in (-1, mine)]
        for found, mine in zip(rows.tolist(), own.tolist(), strict=True)
    ]


def _look_at(index: Any, name: str, number: int) -> None:
    if name == HNSW:
        index.hnsw.efSearch = number
    else:
        index.nprobe = number


def _rescored(embeddings: Embeddings, kind: str, queries: np.ndarray, rows: np.ndarray) -> Nearest:
    """Best first by the stored vectors; an index keeps rounded ones."""
    wanted = np.unique(rows[rows >= 0])
    vectors = _sampled(embeddings, kind, wanted)
    ordered, cosines = np.full_like(rows, -1), np.full(rows.shape, -np.inf, dtype=np.float32)
    for query, found in enumerate(rows):
        own = found[found >= 0]
        values = vectors[np.searchsorted(wanted, own)] @ queries[query]
        order = np.lexsort((own, -values))
        ordered[query, : len(own)], cosines[query, : len(own)] = own[order], values[order]
    return Nearest(ordered, cosines)


def _store(index: Any, folder: Path) -> None:
    """Through a temporary name."""
    import faiss

    temporary = folder / f".{_INDEX}.unfinished"
    free = shutil.disk_usage(folder).free
    try:
        faiss.write_index(index, str(temporary))
        temporary.replace(folder / _INDEX)
    except (RuntimeError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise DataError(
            f"cannot write the index to {folder} ({free / 1e9:,.1f} GB free); free space or name "
            "another folder by --cache"
        ) from error
