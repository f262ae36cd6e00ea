"""Vectors of evaluation sets, and the nearest of them, by comparing with all."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64

from data_pipelines.curation.evaluation_sets import EvaluationSet
from data_pipelines.curation.memory import refuse_beyond_memory
from data_pipelines.curation.table import Table
from data_pipelines.curation.vector_cells import BLOCK
from data_pipelines.curation.vector_parts import VectorColumn
from data_pipelines.errors import ConfigError, DataError


def vectors_digest(one: EvaluationSet, name: str) -> str:
    """SHA-256 of the vectors of a set.

    Raises:
        ConfigError: the set is a folder of pictures.
        DataError: it has no vectors of this name.
    """
    table = _table(one)
    table.vector_column(name)
    return table.vectors_sha256(name)


def vectors_of_sets(
    sets: Sequence[EvaluationSet], column: VectorColumn
) -> tuple[Int64[np.ndarray, " vectors"], Float32[np.ndarray, "vectors dim"]]:
    """Places among the samples of all sets, and unit vectors, of those that have one.

    Args:
        column: of the samples that they are compared with.
    Raises:
        DataError: vectors are missing or of another model, or do not fit into memory.
    """
    columns = [_table(one).vector_column(column.name) for one in sets]
    ids = [other.all_ids() for other in columns]
    total = sum(map(len, ids))
    refuse_beyond_memory(4 * total * column.dim, what=f"{total:,} vectors of evaluation sets")
    places, found, start = [], [], 0
    for own, other, numbers in zip(sets, columns, ids, strict=True):
        if (other.model, other.of) != (column.model, column.of):
            raise DataError(
                f"the vectors '{column.name}' of '{own.name}' are of another model (or of captions "
                "for pictures) than the samples'; embed one of them again"
            )
        has_vector = other.has(numbers)
        places.append(start + np.flatnonzero(has_vector))
        found.append(other.at(numbers[has_vector]))
        start += len(numbers)
    return np.concatenate(places), np.concatenate(found)


def nearest(
    own: Float32[np.ndarray, "own dim"], others: Float32[np.ndarray, "others dim"]
) -> tuple[Float32[np.ndarray, " own"], Int64[np.ndarray, " own"]]:
    """Cosine of each vector to the nearest of the others (of equals the first), and its place."""
    best = np.full(len(own), -2.0, dtype=np.float32)
    places = np.zeros(len(own), dtype=np.int64)
    for start in range(0, len(others), BLOCK):
        cosines = own @ others[start : start + BLOCK].T
        columns = cosines.argmax(axis=1)
        found = cosines[np.arange(len(own)), columns]
        is_closer = found > best
        best[is_closer], places[is_closer] = found[is_closer], start + columns[is_closer]
    return best, places


def _table(one: EvaluationSet) -> Table:
    if one.table is None:
        raise ConfigError(
            f"filter 'decontaminate': {one.path} is a folder of pictures without vectors; make "
            "shards of it, then 'vlsuite curate scan' and 'vlsuite curate embed'"
        )
    return one.table
