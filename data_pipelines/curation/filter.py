"""What a filter is: settings that say, in SQL over the table, which samples are dropped and why.

A filter is one module of ``filters/`` whose frozen dataclass is registered by name:
``@filters.register("caption-length")``. Its fields are its settings in a recipe. It never sees a
shard. Each sample of its input is kept, or dropped by the first of its rules that holds.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import pyarrow as pa

from data_pipelines.curation.vector_parts import VectorColumn
from data_pipelines.registry import Registry
from data_pipelines.schema import JsonValue
from data_pipelines.shards.manifest import sha256_of

filters: Registry[type["SampleFilter"]] = Registry(
    "filter", package="data_pipelines.curation.filters", variable="filters"
)


class Rule(NamedTuple):
    """One way to be dropped; the last four are expressions of DuckDB over the table's columns.

    Attributes:
        reason: short, and the same for all like cases ("caption too short"); empty takes the
            detail for it.
        when: true where a sample is dropped. NULL counts as true: what is not known of a sample
            cannot let it pass.
        value: the number that was judged; NULL where it is none.
        threshold: what it was held against.
        detail: text beside them: a language, the uid of the first copy.
    """

    reason: str
    when: str
    value: str = "NULL"
    threshold: str = "NULL"
    detail: str = "NULL"


@runtime_checkable
class StageInput(Protocol):
    """The samples that reach a filter.

    ``relation`` names them for SQL: ``id`` (unique, in the order of shards and rows), ``uid``,
    ``shard``, ``row`` and the columns that the filter ``needs``.
    """

    @property
    def relation(self) -> str:
        """For the FROM of a query."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Those that the filter ``needs``, and of those it ``wants`` the ones there."""
        ...

    @property
    def threads(self) -> int:
        """How many the filter may use; its result must not depend on it."""
        ...

    def one(self, query: str) -> tuple[Any, ...]:
        """The first row of the answer."""
        ...

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The answer in pieces, for filters that read captions in Python."""
        ...

    def add_query(self, query: str) -> None:
        """Columns of the filter's own for its rules to name: a query that gives ``id`` and them.

        Samples without a row there have NULL.
        """
        ...

    def add_relation(self, name: str, batches: pa.RecordBatchReader) -> None:
        """Rows from Python (a list, columns by id) that later queries of the filter may name."""
        ...

    def vectors(self, name: str) -> VectorColumn:
        """Vectors of all samples of the table; of those that the filter says it reads."""
        ...

    def warn(self, message: str) -> None:
        """Tell the user something that the numbers alone do not."""
        ...

    def record(self, name: str, figure: JsonValue) -> None:
        """Store a measured figure with the run, and show it."""
        ...


@dataclass(frozen=True, kw_only=True)
class SampleFilter(ABC):
    """Base of all filters."""

    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Columns of the table that the rules name."""

    @abstractmethod
    def rules(self, samples: StageInput) -> Sequence[Rule]:
        """When a sample is dropped, the first rule first.

        Args:
            samples: asked by filters whose rules depend on all of them (a top share).
        """

    def wants(self) -> tuple[str, ...]:
        """Columns that are told about where the table has them; no rule may name them."""
        return ()

    def files(self) -> tuple[Path, ...]:
        """Files that the rules depend on; their digests are stored with the run."""
        return ()

    def reads_vectors(self) -> tuple[str, ...]:
        """Names of the vectors beside the table that the rules read."""
        return ()

    def digests(self) -> dict[str, str]:
        """SHA-256 of all that the rules depend on besides table and settings, by a short name."""
        return {path.name: sha256_of(path) for path in self.files()}


def add_firsts(samples: StageInput, keys: str, *, among: str = "true") -> None:
    """Columns ``first_id``, ``first_uid``, ``first_shard`` and ``first_row`` of samples that share
    their keys with others.

    They are those of the first of them in the order of shards and rows; samples whose keys nobody
    shares have NULL.

    Args:
        keys: a column, or several as "(a, b)".
        among: which samples count; the others have NULL.
    """
    source = f"(SELECT * FROM {samples.relation} WHERE {among})"
    firsts = ", ".join(f"min_by({key}, id) AS first_{key}" for key in ("uid", "shard", "row"))
    samples.add_query(
        f"""WITH shared AS (
            SELECT {keys} AS keys, min(id) AS first_id, {firsts}
            FROM {source} GROUP BY {keys} HAVING count(*) > 1)
        SELECT id, first_id, first_uid, first_shard, first_row
        FROM {source} JOIN shared ON {keys} = shared.keys"""
    )


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''").replace("\0", "") + "'"
