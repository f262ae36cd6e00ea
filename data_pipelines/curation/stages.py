"""Filters run one after another over a table, by DuckDB, larger than memory where need be.

What a stage dropped is in the table ``dropped`` (see ``fates``); what is not there is kept. After
each stage, what it was given must be what it kept plus what it dropped, or the run ends.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from data_pipelines.curation.database_errors import told
from data_pipelines.curation.fates import Fates
from data_pipelines.curation.filter import Rule, SampleFilter, quoted
from data_pipelines.curation.table import Table
from data_pipelines.curation.vector_parts import VectorColumn
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue

# Parts are read in the order of the shards, so that the number of the file is that of the shard;
# each has all rows of its shard in their order.
_ID = "((file_index::BIGINT << 32) | file_row_number)"

#: Parts whose footers stay in memory between queries, some 50 kB each.
_KEPT_FOOTERS = 2_000

_IDENTITY = ("id", "uid", "shard", "row")
_BATCH_ROWS = 1 << 16


class StageRule(NamedTuple):
    """A rule that judged a number, as expressions over the table's columns; for reports."""

    reason: str
    value: str
    threshold: str


class StageCounts(NamedTuple):
    """What one stage was given and did with it.

    Attributes:
        reasons: of the dropped, with their numbers.
        figures: what the filter measured.
        columns: of the table, that its rules name.
        rules: those of one reason that judged a number.
    """

    stage: str
    given: int
    kept: int
    dropped: int
    reasons: dict[str, int]
    warnings: tuple[str, ...] = ()
    figures: Mapping[str, JsonValue] = MappingProxyType({})
    columns: tuple[str, ...] = ()
    rules: tuple[StageRule, ...] = ()

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "StageCounts":
        """As run.json has it, also that of an earlier version."""
        found: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in stored.items()
        }
        rules = tuple(StageRule(*rule) for rule in stored.get("rules", ()))
        found["rules"] = rules
        return cls(**found)


def refuse_missing_columns(table: Table, stage: str, chosen: SampleFilter) -> None:
    """Refuse a filter whose columns a table lacks.

    Args:
        stage: name of the filter's stage.
    Raises:
        DataError: a column that the filter needs is none of the table's, nor a score beside it.
    """
    known = (*table.columns, *table.scores, *_IDENTITY)
    missing = [one for one in chosen.needs() if one not in known]
    if missing:
        raise DataError(
            f"stage '{stage}' needs the column '{missing[0]}', which the table in "
            f"{table.folder} has not; {_how_to_get(missing[0])}"
        )


class Stages:
    """A database over a table, and what is left of its samples.

    Args:
        table: opened.
        memory: bytes that DuckDB may use; None leaves it to DuckDB (80% of the machine).
        threads: of DuckDB; None: one a core. The result does not depend on it.
        scratch: folder for what does not fit into memory.
    """

    def __init__(
        self,
        table: Table,
        *,
        memory: int | None = None,
        threads: int | None = None,
        scratch: Path | None = None,
    ) -> None:
        self._table = table
        self._connection = duckdb.connect()
        self._left = table.num_rows
        self.threads = threads or os.cpu_count() or 1
        self.sql("SET preserve_insertion_order = false")
        if threads is not None:
            self.sql(f"SET threads = {threads}")
        if memory is not None:
            self.sql(f"SET memory_limit = '{memory}B'")
        if scratch is not None:
            self.sql(f"SET temp_directory = {quoted(str(scratch))}")
        if len(table.parts) <= _KEPT_FOOTERS:
            self.sql("SET parquet_metadata_cache = true")
        files = _listed([part.path for part in table.parts])
        self.sql(f"CREATE VIEW samples AS SELECT {_ID} AS id, * FROM read_parquet({files})")
        self.fates = Fates(self.sql)

    def __enter__(self) -> "Stages":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def sql(self, query: str) -> duckdb.DuckDBPyConnection:
        """Run a query.

        Raises:
            DataError: it does not fit into memory and scratch space, or a file is damaged.
        """
        with self._told():
            return self._connection.execute(query)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise DataError(
                f"cannot work on {self._table.folder}: {told(error)}; free space, or give it more "
                "--memory"
            ) from error

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        """The answer to a query in pieces; other queries may run meanwhile."""
        with self._told(), self._connection.cursor() as own:
            yield from own.sql(query).to_arrow_reader(_BATCH_ROWS)

    def add_relation(self, name: str, batches: pa.RecordBatchReader) -> None:
        """A table from Arrow data, in place of one of the same name.

        What is raised where the data is made comes out as it was raised.
        """
        raised: list[BaseException] = []
        watched = pa.RecordBatchReader.from_batches(batches.schema, _watched(batches, raised))
        try:
            with self._told():
                self._connection.register("from_python", watched)
                self._connection.execute(f"CREATE OR REPLACE TABLE {name} AS FROM from_python")
                self._connection.unregister("from_python")
        except duckdb.Error:
            if raised:
                raise raised[0] from None
            raise

    def run(self, name: str, chosen: SampleFilter) -> StageCounts:
        """Run one filter over what is left.

        Args:
            name: of the stage.
        Raises:
            DataError: the table lacks a column that the filter needs, the filter's rules are no
                SQL over its columns, or they do not account for every sample.
        """
        refuse_missing_columns(self._table, name, chosen)
        columns = [one for one in dict.fromkeys(chosen.needs()) if one not in _IDENTITY]
        columns += [one for one in self._there(chosen.wants()) if one not in columns]
        self.sql("DROP TABLE IF EXISTS own")
        self.sql(f"CREATE OR REPLACE VIEW given AS {self._given(columns)}")
        given = _Given(self, self._table, (*_IDENTITY, *columns))
        rules = chosen.rules(given)
        judged = _judged(rules, has_own=given.has_own)
        of_samples = [one for one in given.columns if one in self._table.columns]
        try:
            # before what is dropped leaves the view of what is given
            kept = self._count(f"({judged}) WHERE rule IS NULL")
            number = self.fates.add(name, rules, judged=judged, columns=of_samples)
        except (duckdb.ProgrammingError, duckdb.DataError) as error:
            raise DataError(
                f"stage '{name}': its rules are no SQL over the columns {', '.join(columns)}: "
                f"{told(error)}; mend the filter"
            ) from error
        reasons = self.fates.counted(number)
        counts = StageCounts(
            stage=name,
            given=self._left,
            kept=kept,
            dropped=sum(reasons.values()),
            reasons=reasons,
            warnings=tuple(given.warnings),
            figures=given.figures,
            columns=tuple(columns),
            rules=tuple(
                StageRule(rule.reason, rule.value, rule.threshold)
                for rule in rules
                if rule.reason and rule.value != "NULL"
            ),
        )
        _refuse_unaccounted(counts)
        self._left = counts.kept
        return counts

    def _count(self, source: str) -> int:
        (number,) = self.sql(f"SELECT count(*) FROM {source}").fetchall()[0]
        return number

    def _given(self, columns: Sequence[str]) -> str:
        """The query for what is left, with the columns that a filter needs."""
        scores = [one for one in columns if one not in self._table.columns]
        own = [*_IDENTITY, *(one for one in columns if one not in scores)]
        joins = ""
        for number, name in enumerate(scores):
            files = _listed(self._table.score_parts(name))
            joins += (
                f" LEFT JOIN (SELECT {_ID} AS id, score::DOUBLE AS {_name(name)} "
                f"FROM read_parquet({files})) AS score_{number} USING (id)"
            )
        listed = ", ".join([*(f"samples.{_name(one)}" for one in own), *map(_name, scores)])
        if self._left < self._table.num_rows:
            joins += " ANTI JOIN dropped USING (id)"
        return f"SELECT {listed} FROM samples{joins}"

    def _there(self, wanted: Sequence[str]) -> list[str]:
        known = (*self._table.columns, *self._table.scores)
        return [one for one in dict.fromkeys(wanted) if one in known and one not in _IDENTITY]


class _Given:
    """What a filter may ask; see ``StageInput``."""

    relation = "given"

    def __init__(self, stages: Stages, table: Table, columns: tuple[str, ...]) -> None:
        self._stages = stages
        self._table = table
        self.columns = columns
        self.threads = stages.threads
        self.warnings: list[str] = []
        self.figures: dict[str, JsonValue] = {}
        self.has_own = False

    def one(self, query: str) -> tuple[Any, ...]:
        return self._stages.sql(query).fetchall()[0]

    def batches(self, query: str) -> Iterator[pa.RecordBatch]:
        return self._stages.batches(query)

    def add_query(self, query: str) -> None:
        self._stages.sql(f"CREATE TABLE own AS {query}")
        self.has_own = True

    def add_relation(self, name: str, batches: pa.RecordBatchReader) -> None:
        self._stages.add_relation(name, batches)

    def vectors(self, name: str) -> VectorColumn:
        return self._table.vector_column(name)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def record(self, name: str, figure: JsonValue) -> None:
        self.figures[name] = figure


def _watched(
    batches: pa.RecordBatchReader, raised: list[BaseException]
) -> Iterator[pa.RecordBatch]:
    """The batches; the database would tell the text of an exception alone, so it is kept."""
    try:
        yield from batches
    except BaseException as error:
        raised.append(error)
        raise


def _judged(rules: Sequence[Rule], *, has_own: bool) -> str:
    """What is given, with the number of the first rule that holds."""
    source = "given LEFT JOIN own USING (id)" if has_own else "given"
    first = " ".join(f"WHEN ({rule.when}) IS NOT FALSE THEN {i}" for i, rule in enumerate(rules))
    return f"SELECT *, CASE {first} END AS rule FROM {source}"


def _refuse_unaccounted(counts: StageCounts) -> None:
    if counts.given != counts.kept + counts.dropped:
        raise DataError(
            f"stage '{counts.stage}' was given {counts.given:,} samples and accounts for "
            f"{counts.kept:,} kept and {counts.dropped:,} dropped; nothing was written: mend the "
            "filter, whose own columns must have one row a sample at most"
        )


def _how_to_get(column: str) -> str:
    if column in ("language", "language_score"):
        return "scan again with --language lid176 or --language cld3"
    if column in ("phash", "phash_path"):
        return "scan again with --phash scaled"
    return f"if it is a score, make it by 'vlsuite curate score SHARDS --name {column}'"


def _listed(files: Sequence[Path]) -> str:
    return f"[{', '.join(quoted(str(path)) for path in files)}]"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
