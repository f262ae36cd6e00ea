"""Indexes that look at few of the vectors: IVF and HNSW of faiss, with a recall that is measured.

Vectors are kept as fp16 in either; see ``index_tuning`` for how many they look at.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64

from data_pipelines.bounded_json import read_json
from data_pipelines.embeddings.exact import Nearest
from data_pipelines.embeddings.folder import Embeddings
from data_pipelines.embeddings.index_tuning import (
    HNSW,
    IVF,
    IndexChoice,
    Recall,
    cosines_of,
    lists_of,
    look_at,
    questions_for,
    rows_of,
    sampled,
    tuned,
)
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.shards.atomic import make_folder, write_file

_INDEX, _ABOUT = "index.faiss", "about.json"
_LINKS = 32  # of a vector of HNSW, twice as many on its lowest level
_CONSTRUCTION = 200  # neighbours that HNSW looks at while it is built
_TRAINING = 64  # vectors a list, for the centres
_ADDED = 1 << 16  # at once
_ALWAYS = 64 << 20  # bytes that faiss and its threads take besides


class Cost(NamedTuple):
    """Bytes of memory while an index is built, and of the index on disk."""

    memory: int
    disk: int


def cost(count: int, embed_dim: int, name: str) -> Cost:
    """What an index takes, said before it is built."""
    if name == HNSW:
        own = count * (2 * embed_dim + 4 * 2 * _LINKS + 4 * _LINKS // 16 + 24)
        return Cost(own + _ADDED * embed_dim * 4 + _ALWAYS, own)
    lists = lists_of(count)
    own = count * (2 * embed_dim + 8) + lists * embed_dim * 4
    trained = min(count, lists * _TRAINING) * embed_dim * 4
    return Cost(own + 2 * max(trained, _ADDED * embed_dim * 4) + _ALWAYS, own)


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
        look_at(index, choice.name, recall.looked_at)

    def nearest(
        self, embeddings: Embeddings, queries: Float32[np.ndarray, "queries embed_dim"], k: int
    ) -> Nearest:
        """As ``exact.nearest``; cosines are those of the stored vectors.

        Raises:
            DataError: stored vectors are missing.
        """
        _, numbers = self._index.search(np.ascontiguousarray(queries), k)
        rows = rows_of(numbers, len(embeddings), self.recall.added_last)
        # best first by the stored vectors: an index keeps rounded ones
        cosines = cosines_of(embeddings, self.choice.kind, queries, rows)
        order = np.lexsort((rows, -cosines), axis=-1)
        best = (np.take_along_axis(one, order, axis=-1) for one in (rows, cosines))
        return Nearest(*best)


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
    index, asked = _trained(embeddings, choice), questions_for(embeddings, choice)
    last = np.array(asked.added_last, dtype=np.int64)
    first = 0
    for part in embeddings.vectors(choice.kind):
        _add(index, part, np.setdiff1d(np.arange(len(part)), last - first))
        first += len(part)
    recall = tuned(index, embeddings, choice, asked)
    if len(last):
        index.add(asked.vectors)
    make_folder(folder)
    (folder / _ABOUT).unlink(missing_ok=True)
    _store(index, folder)
    about = {
        "embeddings": embeddings.digest,
        "choice": asdict(choice),
        "recall": recall._asdict(),
        "bytes": (folder / _INDEX).stat().st_size,
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
        size = (folder / _INDEX).stat().st_size
        recall = Recall(**about["recall"])
        recall = recall._replace(added_last=tuple(recall.added_last))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # a map of a file that was cut short would end the process
    if not is_own or size != about.get("bytes"):
        return None
    flags = faiss.IO_FLAG_MMAP if choice.name == IVF else 0
    try:
        index = faiss.read_index(str(folder / _INDEX), flags)
    except RuntimeError:
        return None
    return ApproximateIndex(index, choice, recall)


def _trained(embeddings: Embeddings, choice: IndexChoice) -> Any:
    import faiss

    width, metric = embeddings.embed_dim, faiss.METRIC_INNER_PRODUCT
    half: Any = faiss.ScalarQuantizer.QT_fp16
    if choice.name == HNSW:
        index = faiss.IndexHNSWSQ(width, half, _LINKS, metric)
        index.hnsw.efConstruction = _CONSTRUCTION
    else:
        lists = lists_of(len(embeddings))
        index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(width), width, lists, half, metric)
        index.cp.seed, index.cp.min_points_per_centroid = choice.seed + 1, 1
        index.cp.max_points_per_centroid = _TRAINING
    index.train(sampled(embeddings, choice.kind, _training_rows(len(embeddings))))
    return index


def _add(index: Any, part: np.ndarray, rows: Int64[np.ndarray, " rows"]) -> None:
    for start in range(0, len(rows), _ADDED):
        own = part[rows[start : start + _ADDED]]
        index.add(np.ascontiguousarray(own, dtype=np.float32))


def _training_rows(count: int) -> Int64[np.ndarray, " rows"]:
    """Evenly spaced."""
    wanted = min(count, max(1, lists_of(count) * _TRAINING))
    return np.unique(np.linspace(0, count - 1, wanted).astype(np.int64))


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
