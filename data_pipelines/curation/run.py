"""A recipe over a table: what is kept, and the fate of every sample.

``kept.parquet`` names the kept samples in the order of shards and rows (uid, shard, row);
``lineage/NNNNN.parquet`` names all samples in the order of their uids, with the stage that dropped
each, the reason, the value and the threshold (stage NULL: kept); ``run.json``, written last, has
the recipe, the digests of everything that was read and written, and the counts of each stage. It
holds no times: the same recipe over the same table gives the same bytes.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from data_pipelines.curation.database_errors import heeding_ctrl_c
from data_pipelines.curation.parts import PartWriter, writing_part
from data_pipelines.curation.recipe import Recipe
from data_pipelines.curation.run_files import (
    KEPT_NAME,
    LINEAGE,
    RUN_NAME,
    RUN_VERSION,
    stored_run,
)
from data_pipelines.curation.stages import StageCounts, Stages, refuse_missing_columns
from data_pipelines.curation.table import Table
from data_pipelines.errors import DataError
from data_pipelines.schema import JsonValue
from data_pipelines.shards.atomic import make_folder, remove_unfinished, write_file
from data_pipelines.shards.manifest import tool_version

#: Rows of one file of the lineage.
LINEAGE_ROWS = 1 << 21

#: Rows of a row group: what is read to find one of them.
GROUP_ROWS = 1 << 14

_SCRATCH = ".duckdb-scratch"

KEPT_COLUMNS = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
    ]
)

_REPEATED = pa.dictionary(pa.int32(), pa.string())

LINEAGE_COLUMNS = pa.schema(
    [
        *KEPT_COLUMNS,
        pa.field("stage", _REPEATED),
        pa.field("reason", _REPEATED),
        pa.field("value", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("detail", pa.string()),
    ]
)


class WrittenFile(NamedTuple):
    """A file of a run; ``first_uid`` is the lowest that it holds, of the lineage."""

    name: str
    rows: int
    bytes: int
    sha256: str
    first_uid: str = ""

    def told(self) -> dict[str, JsonValue]:
        """For run.json."""
        found = self._asdict()
        return found if self.first_uid else {k: v for k, v in found.items() if k != "first_uid"}


@dataclass(frozen=True, kw_only=True, slots=True)
class RunReport:
    """What a run kept, stage by stage.

    Args:
        was_there: the folder held this very run already, and nothing was done.
    """

    out_dir: Path
    num_samples: int
    num_kept: int
    stages: tuple[StageCounts, ...]
    was_there: bool = False


def run_recipe(
    recipe: Recipe,
    table: Table,
    out_dir: Path,
    *,
    overwrite: bool = False,
    memory: int | None = None,
    threads: int | None = None,
    progress: Callable[[Sequence[Any]], Iterator[Any]] = iter,
) -> RunReport:
    """Run the stages of a recipe over a table and write what came of it.

    Args:
        out_dir: folder of the run. One that holds the same run already is left as it is.
        overwrite: replace another run that is there.
        memory: bytes that the database may use.
        threads: of the database; the result does not depend on it.
        progress: wraps the stages.
    Raises:
        DataError: another run is there, a column is missing, samples are not accounted for, or
            the folder cannot be written.
    """
    identity = _identity(recipe, table)
    there = stored_run(out_dir) if (out_dir / RUN_NAME).exists() else None
    if there is not None:
        if there["made_from"] == identity:
            return _report(out_dir, there, was_there=True)
        if not overwrite:
            raise DataError(
                f"{out_dir} holds another run ({_difference(there['made_from'], identity)}); "
                "choose another --out, or --overwrite it"
            )
    for stage in recipe.stages:
        refuse_missing_columns(table, stage.name, stage.filter)
    _clear(out_dir)
    database = Stages(table, memory=memory, threads=threads, scratch=out_dir / _SCRATCH)
    with heeding_ctrl_c(), database as stages:
        counts = [stages.run(stage.name, stage.filter) for stage in progress(recipe.stages)]
        files = _written(stages, out_dir, table.num_rows, identity)
    _remove_scratch(out_dir)
    stored = _stored(recipe, table, identity, counts, files)
    text = json.dumps(stored, indent=1, ensure_ascii=True)
    write_file(out_dir / RUN_NAME, f"{text}\n".encode())
    return _report(out_dir, stored, was_there=False)


def _identity(recipe: Recipe, table: Table) -> dict[str, Any]:
    """Everything that the result follows from."""
    needed = [name for stage in recipe.stages for name in stage.filter.needs()]
    scores = sorted(set(needed).intersection(table.scores) - set(table.columns))
    vectors = sorted({name for stage in recipe.stages for name in stage.filter.reads_vectors()})
    return {
        "stages": recipe.identity(),
        "shards": [[part.shard, part.content, part.rows] for part in table.parts],
        "table": table.sha256,
        "scores": {name: table.score_sha256(name) for name in scores},
        **({"vectors": _vector_digests(table, vectors)} if vectors else {}),
    }


def _vector_digests(table: Table, names: Sequence[str]) -> dict[str, str]:
    for name in names:
        table.vector_column(name)  # refused here if it is not there
    return {name: table.vectors_sha256(name) for name in names}


def _difference(stored: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Which part of two identities is not the same, in a few words."""
    if stored["stages"] != wanted["stages"]:
        return "of other stages or settings"
    if stored["shards"] != wanted["shards"]:
        return "of other shards"
    if stored["table"] != wanted["table"]:
        return "of another scan"
    return "of other scores" if stored["scores"] != wanted["scores"] else "of other vectors"


def _clear(out_dir: Path) -> None:
    make_folder(out_dir / LINEAGE)
    try:
        (out_dir / RUN_NAME).unlink(missing_ok=True)
        for path in (out_dir / LINEAGE).glob("*.parquet"):
            path.unlink()
    except OSError as error:
        raise DataError(f"cannot write {out_dir}: {error.strerror}; mend permissions") from error
    _remove_scratch(out_dir)
    for folder in (out_dir, out_dir / LINEAGE):
        remove_unfinished(folder)


def _remove_scratch(out_dir: Path) -> None:
    shutil.rmtree(out_dir / _SCRATCH, ignore_errors=True)


def _written(
    stages: Stages, out_dir: Path, num_rows: int, identity: dict[str, Any]
) -> list[WrittenFile]:
    made_from = {"table": identity["table"], "scores": identity["scores"]}
    kept = _kept(stages, out_dir, made_from)
    lineage = list(_lineage(stages, out_dir / LINEAGE, made_from))
    dropped = sum(stages.sql("SELECT count(*) FROM dropped").fetchall()[0])
    if sum(file.rows for file in lineage) != num_rows or kept.rows + dropped != num_rows:
        raise DataError(
            f"of {num_rows:,} samples {kept.rows:,} are kept and {dropped:,} dropped; a file of "
            "the table changed meanwhile: run it again"
        )
    return [kept, *lineage]


def _kept(stages: Stages, out_dir: Path, made_from: dict[str, Any]) -> WrittenFile:
    query = "SELECT uid, shard, row FROM samples ANTI JOIN dropped USING (id) ORDER BY id"
    with writing_part(out_dir / KEPT_NAME, KEPT_COLUMNS) as part:
        part.note({"format_version": RUN_VERSION, **made_from})
        for batch in _even(stages.batches(query), KEPT_COLUMNS):
            part.write(batch)
    return _file(KEPT_NAME, part)


def _lineage(stages: Stages, folder: Path, made_from: dict[str, Any]) -> Iterator[WrittenFile]:
    """Files of up to ``LINEAGE_ROWS`` rows each, in the order of the uids."""
    query = f"""SELECT uid, shard, row, stage, reason, value, threshold, detail
        FROM ({stages.fates.all()}) ORDER BY uid, id"""
    batches = _even(stages.batches(query), LINEAGE_COLUMNS)
    batch, number = next(batches, None), 0
    while batch is not None:
        name, first_uid = f"{number:05d}.parquet", batch["uid"][0].as_py()
        with writing_part(folder / name, LINEAGE_COLUMNS) as part:
            part.note({"format_version": RUN_VERSION, **made_from})
            while batch is not None and part.num_rows + batch.num_rows <= LINEAGE_ROWS:
                part.write(batch)
                batch = next(batches, None)
        yield _file(f"{LINEAGE}/{name}", part, first_uid=first_uid)
        number += 1


def _file(name: str, part: PartWriter, *, first_uid: str = "") -> WrittenFile:
    return WrittenFile(name, part.num_rows, part.size, part.sha256, first_uid)


def _even(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    """Tables of the same number of rows, however the database cut them: bytes follow from it."""
    waiting: list[pa.Table] = []
    for batch in batches:
        waiting.append(pa.Table.from_batches([batch]))
        if sum(table.num_rows for table in waiting) >= GROUP_ROWS:
            joined = pa.concat_tables(waiting)
            while joined.num_rows >= GROUP_ROWS:
                yield _coded(joined.slice(0, GROUP_ROWS), schema)
                joined = joined.slice(GROUP_ROWS)
            waiting = [joined]
    last = pa.concat_tables(waiting) if waiting else None
    if last is not None and last.num_rows:
        yield _coded(last, schema)


def _coded(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """In the types of a schema, each dictionary of these rows alone."""
    columns = []
    for field in schema:
        column = table[field.name].combine_chunks()
        if pa.types.is_dictionary(field.type):
            plain = column.cast(pa.string())
            column = plain.dictionary_encode().cast(field.type)
        columns.append(column.cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _stored(
    recipe: Recipe,
    table: Table,
    identity: dict[str, Any],
    counts: Sequence[StageCounts],
    files: Sequence[WrittenFile],
) -> dict[str, Any]:
    return {
        "format_version": RUN_VERSION,
        "tool": "vlsuite",
        "tool_version": tool_version(),
        "recipe": recipe.name,
        "about": recipe.about,
        "recipe_sha256": recipe.sha256(),
        "samples": table.num_rows,
        "kept": files[0].rows,
        "stages": [_told(one) for one in counts],
        "files": [file.told() for file in files],
        "scan_settings": table.settings,
        "made_from": identity,
    }


def _told(counts: StageCounts) -> dict[str, Any]:
    """For run.json; figures only where there are some."""
    found: dict[str, Any] = counts._asdict() | {"warnings": list(counts.warnings)}
    figures = dict(found.pop("figures"))
    return found | {"figures": figures} if figures else found


def _report(out_dir: Path, stored: dict[str, Any], *, was_there: bool) -> RunReport:
    return RunReport(
        out_dir=out_dir,
        num_samples=stored["samples"],
        num_kept=stored["kept"],
        stages=tuple(map(StageCounts.of, stored["stages"])),
        was_there=was_there,
    )
