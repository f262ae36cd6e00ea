"""A database over a run: every sample with its fate, its columns and the numbers that were judged.

One join of the lineage with the table, larger than memory where need be; everything on the page
is a question to it. Without the table it has what the lineage says alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from data_pipelines.curation.database_errors import told
from data_pipelines.curation.filter import quoted
from data_pipelines.curation.run_files import LINEAGE
from data_pipelines.curation.stages import StageCounts, StageRule
from data_pipelines.curation.table import Table
from data_pipelines.errors import DataError
from eval.curation.finding import FoundRun

#: Columns of a table that the page shows beside the numbers that were judged.
_SHOWN = ("caption", "language", "url")

_MEMORY = 2_000_000_000  # bytes

_FATE = "uid, shard, row, stage, reason, value, threshold, detail"


class Judged(NamedTuple):
    """A rule that judged a number.

    Attributes:
        stage: its number in the run.
        name: of the stage.
        value: the expression, as the filter has it.
        threshold: None where it is not one number.
        column: of the database, with the number of every sample; None where that of dropped
            samples alone is known.
        has_threshold: whether the rule holds the number against one.
    """

    stage: int
    name: str
    reason: str
    value: str
    threshold: float | None
    column: str | None
    has_threshold: bool = True


class Work:
    """The database of a page, in a folder that may be removed.

    Its relation ``samples`` has ``uid``, ``shard``, ``row``, ``stage`` (number; NULL: kept),
    ``reason``, ``value``, ``threshold``, ``detail``, those of ``_SHOWN`` (NULL where the table has
    them not), and a column for each number that was judged.
    """

    def __init__(self, run: FoundRun, folder: Path) -> None:
        self.stages = [StageCounts.of(stage) for stage in run.stored["stages"]]
        self._connection = duckdb.connect(str(folder / "page.duckdb"))
        self.sql(f"SET memory_limit = '{_MEMORY}B'")
        self.sql(f"SET temp_directory = {quoted(str(folder / 'spilled'))}")
        self.sql(f"CREATE VIEW fates AS {_fates(run, self.stages)}")
        rules = [(number, rule) for number, one in enumerate(self.stages) for rule in one.rules]
        asked = self._asked(run.table, [rule for _, rule in rules])
        self.sql(f"CREATE TABLE samples AS {_joined(run.table, self._columns(run.table), asked)}")
        self.judged = [
            Judged(
                stage=stage,
                name=self.stages[stage].stage,
                reason=rule.reason,
                value=rule.value,
                threshold=self._threshold(stage, rule),
                column=f"judged_{number}" if number in asked else None,
                has_threshold=rule.threshold != "NULL",
            )
            for number, (stage, rule) in enumerate(rules)
        ]

    def __enter__(self) -> "Work":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def sql(self, query: str) -> duckdb.DuckDBPyConnection:
        """Run a query.

        Raises:
            DataError: a file of the run or of its table is gone or damaged, or the disk is full.
        """
        try:
            return self._connection.execute(query)
        except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InvalidInputException) as e:
            raise DataError(f"cannot read the run: {told(e)}; run the recipe again") from e

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The whole answer to a query."""
        return self.sql(query).fetchall()

    def _columns(self, table: Table | None) -> list[str]:
        """Those of the table that are shown, or that the rules name."""
        if table is None:
            return []
        known = {*table.columns, *table.scores} - {"uid", "shard", "row"}
        wanted = [*_SHOWN, *(name for stage in self.stages for name in stage.columns)]
        return [name for name in dict.fromkeys(wanted) if name in known]

    def _asked(self, table: Table | None, rules: Sequence[StageRule]) -> dict[int, str]:
        """Expressions that the table can answer; others are of columns that a filter made."""
        found = {}
        for number, rule in enumerate(rules if table else ()):
            assert table is not None
            try:
                source = _given(table, self._columns(table))
                self._connection.execute(f"SELECT ({rule.value})::DOUBLE FROM ({source}) LIMIT 0")
                found[number] = rule.value
            except (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException):
                continue
        return found

    def _threshold(self, stage: int, rule: StageRule) -> float | None:
        """From the rule where it is a number, else from the samples it dropped."""
        try:
            return float(rule.threshold)
        except ValueError:
            pass
        low, high = self.rows(
            f"""SELECT min(threshold), max(threshold) FROM samples
                WHERE stage = {stage} AND reason = {quoted(rule.reason)}"""
        )[0]
        return low if low == high else None


def _fates(run: FoundRun, stages: Sequence[StageCounts]) -> str:
    """The lineage, with numbers for the names of stages."""
    files = ", ".join(
        quoted(str(run.folder / file["name"]))
        for file in run.stored["files"]
        if file["name"].startswith(LINEAGE)
    )
    cases = " ".join(f"WHEN {quoted(one.stage)} THEN {i}" for i, one in enumerate(stages))
    return f"""SELECT uid, shard::VARCHAR AS shard, row, CASE stage::VARCHAR {cases} END AS stage,
            reason::VARCHAR AS reason, value, threshold, detail FROM read_parquet([{files}])"""


def _joined(table: Table | None, columns: Sequence[str], asked: Mapping[int, str]) -> str:
    if table is None:
        empty = ", ".join(f"NULL::VARCHAR AS {name}" for name in _SHOWN)
        return f"SELECT {_FATE}, {empty} FROM fates"
    shown = [f"{name if name in columns else 'NULL'}::VARCHAR AS {name}" for name in _SHOWN]
    judged = [f"({value})::DOUBLE AS judged_{number}" for number, value in asked.items()]
    own = ", ".join([*shown, *judged])
    return f"""SELECT {_FATE}, looks.* EXCLUDE (own_shard, own_row) FROM fates JOIN (
            SELECT shard::VARCHAR AS own_shard, row AS own_row, {own}
            FROM ({_given(table, columns)})) AS looks
        ON fates.shard = own_shard AND fates.row = own_row"""


def _given(table: Table, columns: Sequence[str]) -> str:
    """A query for columns and scores of a table."""
    # a file a shard, in one order: its number is the shard's
    place = "file_index, row"
    scores = [name for name in columns if name not in table.columns]
    own = ", ".join(_named(name) for name in columns if name not in scores)
    parts = _listed([part.path for part in table.parts])
    query = f"SELECT {place}, shard{', ' + own if own else ''} FROM read_parquet({parts})"
    for name in scores:
        files = _listed(table.score_parts(name))
        query = f"""SELECT a.*, b.{_named(name)} FROM ({query}) AS a LEFT JOIN (
            SELECT {place}, score::DOUBLE AS {_named(name)} FROM read_parquet({files})
            ) AS b USING ({place})"""
    return query


def _listed(files: Sequence[Path]) -> str:
    return f"[{', '.join(quoted(str(path)) for path in files)}]"


def _named(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
