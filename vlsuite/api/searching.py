"""Searches in stored embeddings, by words, by pictures, or by what is stored."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from data_pipelines.bounded_files import media_bytes
from data_pipelines.embeddings.approximate import (
    ApproximateIndex,
    build_index,
    cost,
    memory_free,
    open_index,
)
from data_pipelines.embeddings.exact import Nearest, nearest
from data_pipelines.embeddings.folder import Embeddings, open_embeddings
from data_pipelines.embeddings.index_tuning import IndexChoice
from data_pipelines.embeddings.item import IMAGES, TEXTS
from data_pipelines.embeddings.pictures import picture_at
from data_pipelines.shards.sidecar import cache_folder
from data_pipelines.texts import counted
from eval.search.found_files import Answer, Hit
from vlsuite.api.embeddings import opened_model
from vlsuite.api.search_queries import Query, as_query
from vlsuite.api.several import name as one_name
from vlsuite.api.several import names as several_names
from vlsuite.batches.close_view import view_of
from vlsuite.errors import BadSampleError, ConfigError, DataError
from vlsuite.models.embedding import Embedder, computing_in

AUTO, EXACT = "auto", "exact"
INDEXES = (AUTO, EXACT, "ivf", "hnsw")

#: Vectors that "auto" compares one by one; above, IVF.
EXACT_BELOW = 1_000_000

Place = str | os.PathLike


@dataclass(frozen=True, kw_only=True)
class Searching:
    """How a search is done.

    Attributes:
        top: things that are found for each query.
        among: "images" or "texts"; None: pictures where there are some.
        index: of ``INDEXES``.
        exact_below: vectors that "auto" compares one by one.
        recall: at 10, that an index has to reach.
        model: in place of the name that is stored with the embeddings.
        device: None takes a GPU where there is one.
        cache: folder that keeps indexes; None: search/ of the user's cache folder.
        with_pictures: read the pictures of what was found.
    """

    top: int = 10
    among: str | None = None
    index: str = AUTO
    exact_below: int = EXACT_BELOW
    recall: float = 0.98
    model: Any = None
    device: str | None = None
    cache: Path | None = None
    with_pictures: bool = False

    def __post_init__(self) -> None:
        if self.top < 1 or self.exact_below < 0:
            raise ConfigError("top: give at least 1; exact_below: 0 or more")
        if self.index not in INDEXES:
            raise ConfigError(f"index='{self.index}': give one of {', '.join(INDEXES)}")


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What was found.

    Attributes:
        answers: one for each query, hits best first.
        how: all vectors, or an index with its measured recall, in a sentence.
        recall: of the index; None where all vectors were compared.
    """

    answers: tuple[Answer, ...]
    embeddings: Embeddings
    how: str
    recall: float | None


def search(
    folder: Place,
    queries: str | Iterable[str],
    *,
    top: int = 10,
    among: str | None = None,
    model: Any = None,
    index: str = AUTO,
    device: str | None = None,
) -> SearchResult:
    """Find the stored pictures or texts nearest to words or pictures.

    Args:
        folder: of ``vlsuite.embed``.
        queries: words; a path of a picture that exists is meant as that picture.
        top: things that are found for each.
        among: "images" or "texts"; None: pictures where there are some.
        model: in place of the one whose name is stored; must be the same.
        index: "exact", "ivf", "hnsw", or "auto": exact for up to 1,000,000 vectors, else IVF.
        device: None takes a GPU where there is one.
    Returns:
        Hits with cosine, uid, path and caption.
    Raises:
        DataError: no finished embeddings, or a picture that cannot be read.
        ConfigError: another model than that of the embeddings, or an unknown choice.

    Example::

        for hit in vlsuite.search("embeddings", "a red car").answers[0].hits:
            print(hit.cosine, hit.path)
    """
    asked = [as_query(text) for text in several_names(queries, "queries")]
    how = Searching(top=top, among=among, model=model, index=index, device=device)
    return search_for(Path(one_name(folder, "folder")), asked, how)


def search_for(
    folder: Path,
    queries: Sequence[Query],
    how: Searching,
    *,
    tell: Callable[[str], None] | None = None,
) -> SearchResult:
    """See :func:`search`.

    Args:
        tell: is told what takes long and how much memory it takes.
    """
    if not queries:
        raise ConfigError("nothing to search for; give words, a picture or a uid")
    if any(not query.value.strip() for query in queries):
        raise ConfigError("a query is empty; give words, a picture or a uid")
    embeddings = open_embeddings(folder)
    among = how.among or (IMAGES if IMAGES in embeddings.kinds else TEXTS)
    if among not in embeddings.kinds:
        raise ConfigError(f"{folder} has no embeddings of {among}; it has {embeddings.kinds[0]}")
    asker = _Asker(embeddings, how, among)
    vectors = np.stack([asker.vector(query) for query in queries])
    searched = _Searcher(embeddings, how, among, tell or (lambda line: None))
    found = searched.nearest(vectors)
    answers = tuple(
        Answer(query.value, asker.encoded(query), _hits(embeddings, rows, cosines, how))
        for query, rows, cosines in zip(queries, found.rows, found.cosines, strict=True)
    )
    return SearchResult(
        answers=answers, embeddings=embeddings, how=searched.how, recall=searched.recall
    )


class _Asker:
    """Vectors of queries; the model is opened when words or pictures are asked with."""

    def __init__(self, embeddings: Embeddings, how: Searching, among: str) -> None:
        self._embeddings = embeddings
        self._how = how
        self._among = among

    def vector(self, query: Query) -> Float32[np.ndarray, " embed_dim"]:
        if query.kind == "uid":
            return self._stored(query.value)
        with torch.inference_mode(), self._precision:
            if query.kind == "text":
                found = self._model.embed_texts([query.value])
            else:
                pixels = self._view(self._read(query.value), query.value)
                found = self._model.embed_images(pixels[None])
        return found[0].float().cpu().numpy()

    def encoded(self, query: Query) -> bytes | None:
        if query.kind != "picture" or not self._how.with_pictures:
            return None
        return self._read(query.value)

    @cached_property
    def _model(self) -> Embedder:
        stored = self._embeddings
        model, _ = opened_model(self._how.model or stored.model, self._how.device)
        if model.fingerprint != stored.settings["fingerprint"]:
            raise ConfigError(
                f"{self._how.model or stored.model} is not the model of {stored.folder} (weights, "
                "preprocessing or tokenizer differ); name that one by --model, or embed again"
            )
        return model

    @property
    def _precision(self) -> AbstractContextManager[Any]:
        return computing_in(self._embeddings.settings["precision"], self._model.device)

    def _view(self, data: bytes, name: str) -> torch.Tensor:
        view = view_of(self._model.image_transform, self._embeddings.settings["pixels"])
        try:
            return view(data)
        except BadSampleError as error:
            raise DataError(f"{name}: {error}; give another picture") from error

    def _read(self, path: str) -> bytes:
        try:
            return media_bytes(Path(path))
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error

    def _stored(self, uid: str) -> Float32[np.ndarray, " embed_dim"]:
        for number, part in enumerate(self._embeddings.vectors(self._among)):
            uids = self._embeddings.rows_of_part(number)["uid"].to_pylist()
            if uid in uids:
                return np.asarray(part[uids.index(uid)], dtype=np.float32)
        raise DataError(f"{self._embeddings.folder} has no uid {uid}; see its rows")


class _Searcher:
    """Compares with all vectors, or with those that an index looks at."""

    def __init__(
        self, embeddings: Embeddings, how: Searching, among: str, tell: Callable[[str], None]
    ) -> None:
        self._embeddings = embeddings
        self._how = how
        self._among = among
        self._tell = tell
        self._index = None if self._is_exact else self._opened()

    @property
    def _is_exact(self) -> bool:
        few = len(self._embeddings) <= self._how.exact_below
        return self._how.index == EXACT or (self._how.index == AUTO and few)

    @property
    def recall(self) -> float | None:
        """Of the index."""
        return None if self._index is None else self._index.recall.share

    @property
    def how(self) -> str:
        """What was compared."""
        count = counted(len(self._embeddings), "vector")
        if self._index is None:
            return f"compared with all {count}"
        recall = self._index.recall
        name = self._index.choice.name
        return (
            f"{name} index over {count}: finds {recall.share:.3f} [{recall.low:.3f}, "
            f"{recall.high:.3f}] of the 10 nearest ({recall.queries}), looking at "
            f"{recall.looked_at} " + ("lists" if name == "ivf" else "neighbours")
        )

    def nearest(self, vectors: Float32[np.ndarray, "queries embed_dim"]) -> Nearest:
        """The nearest of each."""
        top = min(self._how.top, len(self._embeddings))
        if self._index is None:
            return nearest(self._embeddings.vectors(self._among), vectors, top)
        return self._index.nearest(self._embeddings, vectors, top)

    def _opened(self) -> ApproximateIndex:
        name = "ivf" if self._how.index == AUTO else self._how.index
        choice = IndexChoice(kind=self._among, name=name, recall=self._how.recall)
        base = self._how.cache or cache_folder() / "search"
        folder = base / f"{self._embeddings.digest[:32]}-{self._among}-{name}"
        found = open_index(self._embeddings, choice, folder)
        if found is not None:
            return found
        needed = cost(len(self._embeddings), self._embeddings.embed_dim, name)
        free = memory_free()
        told = "" if free is None else f" (free: {free / 1e9:,.1f} GB)"
        self._tell(
            f"building an {name} index of {counted(len(self._embeddings), 'vector')}: "
            f"{needed.memory / 1e9:,.2f} GB of memory{told}, {needed.disk / 1e9:,.2f} GB in "
            f"{folder}; once, later searches use it"
        )
        return build_index(self._embeddings, choice, folder)


def _hits(
    embeddings: Embeddings, rows: np.ndarray, cosines: np.ndarray, how: Searching
) -> tuple[Hit, ...]:
    hits = []
    tables: dict[int, Any] = {}
    for rank, (row, cosine) in enumerate(zip(rows.tolist(), cosines.tolist(), strict=True), 1):
        if row < 0:
            break
        number = int(np.searchsorted(embeddings.starts, row, side="right")) - 1
        if number not in tables:
            tables[number] = embeddings.rows_of_part(number)
        place = row - int(embeddings.starts[number])
        own = {name: tables[number][name][place].as_py() for name in tables[number].column_names}
        source = embeddings.source(number)
        encoded = picture_at(source, own["row"], own["path"]) if how.with_pictures else None
        hits.append(
            Hit(
                rank=rank,
                cosine=cosine,
                uid=own["uid"],
                path=own["path"],
                caption=own["caption"],
                source=source.get("root") or source["path"],
                row=own["row"],
                encoded=encoded,
            )
        )
    return tuple(hits)
