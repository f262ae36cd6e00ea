"""Pictures like those of a reference set: DataComp's image-based filter.

Gadre et al. 2023, arXiv 2304.14108, section 4 and appendix: the pool's pictures are clustered, the
reference set (there: ImageNet-1k's training pictures) names some clusters by being nearest to their
centroids, and a sample stays if the centroid nearest to its picture is one of those (argmax of the
inner product, as the authors' ``apply_filter.py``). The caption gate that stands before it there is
``datacomp-basic`` with ``gate = "image-based"``; together with a CLIP score it is DataComp's best.

Centroids are taken from a file, or made by spherical k-means of what reaches the filter (DataComp:
100,000 cells). The result does not depend on the number of threads.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float32, Int64

from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters
from data_pipelines.curation.filters.semantic_duplicates import ids_of
from data_pipelines.curation.memory import refuse_beyond_memory
from data_pipelines.curation.set_vectors import nearest
from data_pipelines.curation.table import open_table
from data_pipelines.curation.vector_cells import BLOCK, Workers, cells_of, working
from data_pipelines.curation.vector_parts import VectorColumn
from data_pipelines.errors import ConfigError, DataError
from data_pipelines.shards.manifest import sha256_of

_COLUMNS = pa.schema(
    [("id", pa.int64()), ("cell", pa.int64()), ("cosine", pa.float64()), ("is_like", pa.bool_())]
)


@filters.register("image-based")
@dataclass(frozen=True, kw_only=True)
class ImageBased(SampleFilter):
    """Settings of the image-based filter.

    Args:
        reference: the pictures that kept ones must be like: the folder of a table (or of shards
            with one beside them) with the same vectors, or a file .npy of one vector a row.
        vectors: name of the vectors (``vlsuite curate embed --name``).
        centroids: file .npy of one centroid a row; by default they are made from the samples.
        cells: of k-means; by default the root of the number of samples.
        iterations, seed: of k-means.
    """

    reference: Path
    vectors: str = "clip"
    centroids: Path | None = None
    cells: int | None = None
    iterations: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.cells or 1) < 1 or self.iterations < 1:
            raise ConfigError("filter 'image-based': cells and iterations must be 1 or more")
        if self.centroids is not None and self.cells is not None:
            raise ConfigError("filter 'image-based' takes either centroids or cells")

    def needs(self) -> tuple[str, ...]:
        """No column: the vectors stand beside the table."""
        return ()

    def reads_vectors(self) -> tuple[str, ...]:
        """The vectors."""
        return (self.vectors,)

    def files(self) -> tuple[Path, ...]:
        """Of centroids, and of the reference where it is a file."""
        named = (self.centroids, self.reference if self._is_file else None)
        return tuple(path for path in named if path is not None)

    def digests(self) -> dict[str, str]:
        """Of the files, or of the reference's vectors."""
        found = {str(path.name): sha256_of(path) for path in map(_there, self.files())}
        if not self._is_file:
            table = open_table(self.reference)
            table.vector_column(self.vectors)
            found["reference"] = table.vectors_sha256(self.vectors)
        return found

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """Without a vector; nearest to a centroid that is the nearest of no reference picture."""
        column = samples.vectors(self.vectors)
        ids = ids_of(samples)
        has_vector = column.has(ids)
        with working(samples.threads) as workers:
            centroids = self._centroids(column, ids[has_vector], workers)
            chosen = _nearest_of(self._reference(column), centroids, workers)
            is_like = np.zeros(len(centroids), dtype=np.bool_)
            is_like[np.unique(chosen)] = True
            samples.record("cells", len(centroids))
            samples.record("cells of the reference", int(is_like.sum()))
            batches = _judged(column, ids[has_vector], centroids, is_like, workers)
            reader = pa.RecordBatchReader.from_batches(_COLUMNS, batches)
            samples.add_relation("near", reader)
        samples.add_query("FROM near")
        return [
            Rule("no vector", "cell IS NULL"),
            Rule("unlike the reference", "NOT is_like", "cosine", detail="'cell ' || cell"),
        ]

    @property
    def _is_file(self) -> bool:
        return self.reference.suffix == ".npy"

    def _centroids(
        self, column: VectorColumn, ids: Int64[np.ndarray, " ids"], workers: Workers
    ) -> Float32[np.ndarray, "cells dim"]:
        if self.centroids is not None:
            return _stored(self.centroids, column.dim)
        cells = self.cells or max(1, round(len(ids) ** 0.5))
        return cells_of(
            column.at,
            ids,
            workers,
            cells=cells,
            probes=1,
            iterations=self.iterations,
            seed=self.seed,
        ).centroids

    def _reference(self, column: VectorColumn) -> Float32[np.ndarray, "pictures dim"]:
        if self._is_file:
            return _stored(self.reference, column.dim)
        other = open_table(self.reference).vector_column(self.vectors)
        if (other.model, other.of) != (column.model, column.of):
            raise DataError(
                f"the vectors '{self.vectors}' of {self.reference} are of another model (or of "
                "captions for pictures) than the samples'; embed one of them again"
            )
        ids = other.all_ids()
        refuse_beyond_memory(4 * len(ids) * other.dim, what=f"{len(ids):,} vectors")
        return other.at(ids[other.has(ids)])


def _there(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"filter 'image-based': no file {path}; give one vector a row as .npy")
    return path


def _stored(path: Path, dim: int) -> Float32[np.ndarray, "rows dim"]:
    """Rows of a file, as they are: the length of a centroid counts in its inner products."""
    try:
        found = np.load(_there(path), allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}; give one vector a row as .npy") from error
    if found.ndim != 2 or found.shape[1] != dim or not len(found):
        raise DataError(
            f"{path} has the shape {found.shape}; the vectors have {dim} numbers: give one a row"
        )
    return np.ascontiguousarray(found, dtype=np.float32)


def _nearest_of(
    vectors: Float32[np.ndarray, "rows dim"],
    centroids: Float32[np.ndarray, "cells dim"],
    workers: Workers,
) -> Int64[np.ndarray, " rows"]:
    """The centroid with the largest inner product of each row; the first of equals."""
    blocks = [vectors[start : start + BLOCK] for start in range(0, len(vectors), BLOCK)]
    found = workers.map(lambda own: nearest(own, centroids)[1], blocks)
    return np.concatenate([np.zeros(0, dtype=np.int64), *found])


def _judged(
    column: VectorColumn,
    ids: Int64[np.ndarray, " ids"],
    centroids: Float32[np.ndarray, "cells dim"],
    is_like: np.ndarray,
    workers: Workers,
) -> Iterator[pa.RecordBatch]:
    blocks = [ids[start : start + BLOCK] for start in range(0, len(ids), BLOCK)]
    lengths = np.linalg.norm(centroids, axis=1)
    for own, (products, cells) in zip(
        blocks, workers.map(lambda one: nearest(column.at(one), centroids), blocks), strict=True
    ):
        cosines = (products / lengths[cells]).astype(np.float64)
        columns = (own, cells, cosines, is_like[cells])
        yield pa.RecordBatch.from_arrays([pa.array(one) for one in columns], schema=_COLUMNS)
