"""One of samples whose embeddings are close: SemDeDup on processors.

Abbas et al. 2023, "SemDeDup", arXiv 2303.09540: spherical k-means, and within each cell what is
closer than a threshold to another goes. Ours departs: leaders in the order of the table instead of
the hardest first and of all others (see ``leaders``), each vector looks into several cells, and the
share of close samples that the cells let meet is measured against comparing all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from data_pipelines.curation.close_vectors import CloseVectors, VectorsByCell, close_vectors
from data_pipelines.curation.filter import Rule, SampleFilter, StageInput, filters
from data_pipelines.curation.memory import refuse_beyond_memory
from data_pipelines.curation.recall import nearest_earlier, recall_by_band
from data_pipelines.curation.vector_cells import cells_of, working
from data_pipelines.curation.vector_parts import VectorColumn
from data_pipelines.errors import ConfigError

_FATES = """SELECT close.id, cosine, leader IS NULL AS is_without, stays.uid AS leader_uid
    FROM close LEFT JOIN {0} AS stays ON stays.id = close.leader"""

_CLOSE = pa.schema([("id", pa.int64()), ("leader", pa.int64()), ("cosine", pa.float64())])
_BYTES = 40  # a vector besides its numbers


@filters.register("semantic-duplicates")
@dataclass(frozen=True, kw_only=True)
class SemanticDuplicates(SampleFilter):
    """Settings of deduplication by embeddings.

    Args:
        vectors: name of the vectors (``vlsuite curate embed --name``).
        threshold: cosine from which two samples count as one. Look at what goes: what it means
            depends on the model.
        cells: of k-means; by default the root of the number of samples, or one (all are compared
            with all) up to 4,096 samples.
        probes: cells that a sample is compared in; more find more and cost more.
        iterations: of k-means.
        seed: of k-means and of the sample that recall is measured on.
        recall_samples: that are compared with all; 0 measures nothing.
    """

    vectors: str = "clip"
    threshold: float = 0.95
    cells: int | None = None
    probes: int = 8
    iterations: int = 10
    seed: int = 0
    recall_samples: int = 1000

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ConfigError(
                f"filter 'semantic-duplicates': threshold {self.threshold} is not in (0, 1]"
            )
        least = {"cells": self.cells or 1, "probes": self.probes, "iterations": self.iterations}
        for name, value in least.items():
            if value < 1:
                raise ConfigError(f"filter 'semantic-duplicates': {name} is {value}, not 1 or more")
        if self.recall_samples < 0:
            raise ConfigError("filter 'semantic-duplicates': recall_samples is below 0")

    def needs(self) -> tuple[str, ...]:
        """No column: the vectors stand beside the table."""
        return ()

    def reads_vectors(self) -> tuple[str, ...]:
        """The vectors."""
        return (self.vectors,)

    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """All but the leaders, with the uid of their leader and the cosine to it."""
        column = samples.vectors(self.vectors)
        ids = ids_of(samples)
        has_vector = column.has(ids)
        found = self._close(samples, column, ids[has_vector])
        batches = [_batch(ids[has_vector], found), _without(ids[~has_vector])]
        samples.add_relation("close", pa.RecordBatchReader.from_batches(_CLOSE, batches))
        samples.add_query(_FATES.format(samples.relation))
        return [
            Rule("no vector", "coalesce(is_without, false)"),
            Rule(
                "close to another",
                "leader_uid IS NOT NULL",
                "cosine",
                repr(self.threshold),
                "leader_uid",
            ),
        ]

    def _close(
        self, samples: StageInput, column: VectorColumn, ids: Int64[np.ndarray, " ids"]
    ) -> CloseVectors:
        refuse_beyond_memory(len(ids) * (2 * column.dim + _BYTES), what=f"{len(ids):,} vectors")
        with working(samples.threads) as workers:
            cells = cells_of(
                column.at,
                ids,
                workers,
                cells=self.cells,
                probes=self.probes,
                iterations=self.iterations,
                seed=self.seed,
            )
            vectors = VectorsByCell(column.stored, ids, cells)
            found = close_vectors(vectors, workers, threshold=self.threshold)
            samples.record("cells", len(cells.centroids))
            if self.recall_samples and len(cells.centroids) > 1:
                nearest = nearest_earlier(
                    vectors, workers, samples=self.recall_samples, seed=self.seed
                )
                rows = recall_by_band(nearest, threshold=self.threshold)
                samples.record("recall by cosine", rows)
        return found


def ids_of(samples: StageInput) -> Int64[np.ndarray, " ids"]:
    """Ids of all samples that reach a filter, ascending."""
    batches = samples.batches(f"SELECT id FROM {samples.relation} ORDER BY id")
    found = [batch["id"].to_numpy() for batch in batches]
    return np.concatenate([np.zeros(0, dtype=np.int64), *found])


def _batch(ids: Int64[np.ndarray, " ids"], found: CloseVectors) -> pa.RecordBatch:
    columns = (ids[found.places], ids[found.leaders], found.cosines.astype(np.float64))
    return pa.RecordBatch.from_arrays([pa.array(one) for one in columns], schema=_CLOSE)


def _without(ids: Int64[np.ndarray, " ids"]) -> pa.RecordBatch:
    nulls = [pa.nulls(len(ids), field.type) for field in list(_CLOSE)[1:]]
    return pa.RecordBatch.from_arrays([pa.array(ids), *nulls], schema=_CLOSE)
