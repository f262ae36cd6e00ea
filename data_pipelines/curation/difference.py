"""What changed between two runs: which samples, by which stage, and what made that stage differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from data_pipelines.curation.database_errors import heeding_ctrl_c, told
from data_pipelines.curation.filter import quoted
from data_pipelines.curation.run_files import LINEAGE, stored_run
from data_pipelines.errors import DataError

#: What a sample is called in a run that does not have it.
ABSENT, KEPT = "not there", "kept"


class Change(NamedTuple):
    """Samples with the same two fates.

    Attributes:
        before, after: "kept", "not there", or the stage and the reason.
        because: what differs between the runs that accounts for it.
        example: the lowest uid.
    """

    before: str
    after: str
    number: int
    because: str
    example: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDifference:
    """What two runs differ in.

    Args:
        kept: number of samples kept by the first, the second, and both.
        made_from: what differs in what they were made from, a line each.
        changes: of membership, the most frequent first.
        other_reasons: number of samples that both dropped, for different reasons.
    """

    kept: tuple[int, int, int]
    made_from: tuple[str, ...]
    changes: tuple[Change, ...]
    other_reasons: int


_FATES = """CREATE TABLE {name} AS
    SELECT uid, coalesce(stage, '') AS stage, coalesce(reason, '') AS reason, value, threshold
    FROM read_parquet({files})
    QUALIFY row_number() OVER (PARTITION BY uid ORDER BY stage IS NOT NULL, shard, row) = 1"""

_JOINED = """CREATE VIEW joined AS SELECT coalesce(a.uid, b.uid) AS uid,
        a.stage AS stage_a, a.reason AS reason_a, a.value AS value_a, a.threshold AS threshold_a,
        b.stage AS stage_b, b.reason AS reason_b, b.value AS value_b, b.threshold AS threshold_b
    FROM fates_a AS a FULL JOIN fates_b AS b USING (uid)"""

# Kept by one of the two and not by the other.
_CHANGED = "(stage_a IS NOT DISTINCT FROM '') != (stage_b IS NOT DISTINCT FROM '')"


def difference(first: Path, second: Path, *, out: Path | None = None) -> RunDifference:
    """Compare two finished runs, sample by sample.

    Args:
        out: Parquet file to write, with every sample whose membership changed.
    Raises:
        DataError: one of them is no finished run or has lost a file, or ``out`` cannot be written.
    """
    runs = [stored_run(folder) for folder in (first, second)]
    with heeding_ctrl_c(), duckdb.connect() as connection:
        for name, folder, run in zip("ab", (first, second), runs, strict=True):
            files = [
                quoted(str(folder / file["name"]))
                for file in run["files"]
                if file["name"].startswith(LINEAGE)
            ]
            query = _FATES.format(name=f"fates_{name}", files=f"[{','.join(files)}]")
            try:
                connection.execute(query)
            except duckdb.Error as error:
                raise DataError(
                    f"cannot read the fates of {folder}: {told(error)}; run its recipe again with "
                    "--overwrite"
                ) from error
        connection.execute(_JOINED)
        if out is not None:
            _write(connection, out)
        return _compared(connection, runs)


def _compared(
    connection: duckdb.DuckDBPyConnection, runs: Sequence[Mapping[str, Any]]
) -> RunDifference:
    kept = connection.execute(
        """SELECT count(*) FILTER (stage_a = ''), count(*) FILTER (stage_b = ''),
            count(*) FILTER (stage_a = '' AND stage_b = '') FROM joined"""
    ).fetchall()[0]
    (other,) = connection.execute(
        """SELECT count(*) FROM joined WHERE stage_a != '' AND stage_b != ''
            AND (stage_a, reason_a) != (stage_b, reason_b)"""
    ).fetchall()[0]
    rows = connection.execute(
        f"""SELECT stage_a, reason_a, stage_b, reason_b, count(*), min(uid),
            min(threshold_a), min(threshold_b)
        FROM joined WHERE {_CHANGED} GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1, 2, 3, 4"""
    ).fetchall()
    thresholds = [_thresholds(connection, name) for name in "ab"]
    changes = tuple(
        Change(
            before=_fate(stage_a, reason_a),
            after=_fate(stage_b, reason_b),
            number=number,
            because=_because(stage_a or stage_b, reason_a or reason_b, runs, thresholds)
            if stage_a is not None and stage_b is not None
            else "the shards of the two runs differ",
            example=uid,
        )
        for stage_a, reason_a, stage_b, reason_b, number, uid, *_ in rows
    )
    return RunDifference(
        kept=kept, made_from=_made_from(*runs), changes=changes, other_reasons=other
    )


def _thresholds(
    connection: duckdb.DuckDBPyConnection, name: str
) -> dict[tuple[str, str], float | None]:
    rows = connection.execute(
        f"SELECT stage, reason, min(threshold) FROM fates_{name} WHERE stage != '' GROUP BY 1, 2"
    ).fetchall()
    return {(stage, reason): threshold for stage, reason, threshold in rows}


def _fate(stage: str | None, reason: str | None) -> str:
    if stage is None:
        return ABSENT
    return f"{stage}: {reason}" if stage else KEPT


def _because(
    stage: str,
    reason: str,
    runs: Sequence[Mapping[str, Any]],
    thresholds: Sequence[Mapping[tuple[str, str], float | None]],
) -> str:
    """What differs about the stage that one run dropped by and the other passed."""
    own = [_stages(run).get(stage) for run in runs]
    if own[0] is None or own[1] is None:
        return f"only the {'second' if own[0] is None else 'first'} run has the stage '{stage}'"
    differing = _settings_told(own[0], own[1])
    if differing:
        return differing
    others = _other_values(stage, own[0]["settings"], runs)
    if others:
        return f"the same rule: other values of {', '.join(others)}"
    moved = [one.get((stage, reason)) for one in thresholds]
    if None not in moved and moved[0] != moved[1]:
        return f"its threshold moved from {moved[0]:.10g} to {moved[1]:.10g}"
    if runs[0]["made_from"]["table"] != runs[1]["made_from"]["table"]:
        return "the same rule: the table has other values of the samples, or other samples"
    return "the same rule: an earlier stage passes other samples"


def _made_from(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs, a line each: stages, settings, order, shards, scan, scores."""
    lines = []
    own, other = _stages(first), _stages(second)
    for name in [*own, *(name for name in other if name not in own)]:
        if name not in other or name not in own:
            lines.append(f"stage '{name}': only in the {'first' if name in own else 'second'} run")
        elif told := _settings_told(own[name], other[name]):
            lines.append(f"stage '{name}': {told}")
    if not lines and list(own) != list(other):
        lines.append(f"order of the stages: {', '.join(own)} before, {', '.join(other)} after")
    lines += _shards_told(first["made_from"]["shards"], second["made_from"]["shards"])
    lines += _dict_told("scan", first["scan_settings"], second["scan_settings"])
    lines += [f"score '{name}': other values" for name in _changed("scores", first, second)]
    lines += [f"vectors '{name}': other values" for name in _changed("vectors", first, second)]
    return tuple(lines)


def _changed(kind: str, *runs: Mapping[str, Any]) -> list[str]:
    """Scores or vectors that both runs read, with other values."""
    own, other = (run["made_from"].get(kind) or {} for run in runs)
    return [name for name in _differing(own, other) if name in own and name in other]


def _other_values(
    stage: str, settings: Mapping[str, Any], runs: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What a stage reads that has other values in the second run."""
    columns = [
        name
        for one in runs[0]["stages"]
        if one["stage"] == stage
        for name in one.get("columns", ())
    ]
    found = [f"score '{name}'" for name in _changed("scores", *runs) if name in columns]
    names = _changed("vectors", *runs)
    return [*found, *(f"vectors '{name}'" for name in names if name == settings.get("vectors"))]


def _stages(run: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {stage["name"]: stage for stage in run["made_from"]["stages"]}


def _settings_told(own: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    if own["filter"] != other["filter"]:
        return f"filter {own['filter']} -> {other['filter']}"
    told = _dict_told("", own["settings"], other["settings"])
    told += [f"other content of {n}" for n in _differing(own.get("files"), other.get("files"))]
    return ", ".join(told)


def _dict_told(name: str, own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    before = f"{name}: " if name else ""
    return [f"{before}{k} {own.get(k)} -> {other.get(k)}" for k in _differing(own, other)]


def _differing(own: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> list[str]:
    own, other = own or {}, other or {}
    return [k for k in sorted({*own, *other}) if own.get(k) != other.get(k)]


def _shards_told(own: Sequence[Any], other: Sequence[Any]) -> list[str]:
    before, after = {one[0]: one[1:] for one in own}, {one[0]: one[1:] for one in other}
    counts = {
        "gone": len(before.keys() - after.keys()),
        "new": len(after.keys() - before.keys()),
        "of other content": sum(before[n] != after[n] for n in before.keys() & after.keys()),
    }
    told = [f"{number:,} {what}" for what, number in counts.items() if number]
    return [f"shards: {', '.join(told)}"] if told else []


def _write(connection: duckdb.DuckDBPyConnection, out: Path) -> None:
    query = f"SELECT * FROM joined WHERE {_CHANGED} ORDER BY uid"
    try:
        connection.execute(f"COPY ({query}) TO {quoted(str(out))} (FORMAT parquet)")
    except duckdb.IOException as error:
        raise DataError(
            f"cannot write {out}: {told(error)}; free space, mend permissions or choose another "
            "file"
        ) from error
