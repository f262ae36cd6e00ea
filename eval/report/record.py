"""Everything a report shows, read from a run folder (or a folder of result files)."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from data_pipelines.bounded_json import json_lines, read_json
from data_pipelines.schema import JsonValue
from eval.errors import EvaluationError
from eval.results import EvalResult, load_result
from vlsuite.export.run_changes import Change, read_changes, unrecorded

#: Columns of the training curves that every run has, by the names metrics.jsonl uses.
TRAIN_COLUMNS = (
    "step",
    "samples_seen",
    "loss",
    "learning_rate",
    "samples_per_s",
    "data_wait_share",
    "grad_norm",
)
#: Numbers of a record that are no curve; all others are scalars of the objective.
_NO_CURVES = ("time", "eta_s", "checkpoint_seconds")

TrainCurves = dict[str, Float64[np.ndarray, " records"]]


class EvalPoint(NamedTuple):
    """Results of one round of evaluation in training."""

    step: int
    samples_seen: int
    results: tuple[EvalResult, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """What is known about a run; parts that were not there are empty.

    Args:
        name: of the folder.
        config: resolved configuration.
        environment: command, commit, hardware, versions, seed, start.
        train: one array a column of ``TRAIN_COLUMNS``, and one a scalar of the objective
            ("logit_scale"); NaN where a record lacks it.
        evals: rounds of evaluation in training, by step.
        results: result files, by data set.
        changes: settings changed when the run was continued.
        remarks: what could not be read, one line each.
    """

    name: str
    config: dict[str, JsonValue]
    environment: dict[str, JsonValue]
    train: TrainCurves
    evals: tuple[EvalPoint, ...]
    results: tuple[EvalResult, ...]
    remarks: tuple[str, ...]
    changes: tuple[Change, ...] = ()


def read_run(folder: Path) -> RunRecord:
    """Read a run folder.

    Of a step that occurs twice (a run resumed from an earlier checkpoint) the later record
    counts. Lines and files that cannot be read are left out and named in ``remarks``.

    Raises:
        EvaluationError: no such folder, or neither metrics nor results in it.
    """
    if not folder.is_dir():
        raise EvaluationError(f"{folder} is no folder; give a run folder or a folder of results")
    remarks: list[str] = []
    train, evals = _read_metrics(folder / "metrics.jsonl", remarks)
    results = _read_results(folder, remarks)
    if not train and not evals and not results:
        raise EvaluationError(
            f"nothing to report in {folder}: no metrics.jsonl and no result files; "
            "give the folder that 'vlsuite train' or 'vlsuite eval' wrote to"
        )
    environment = _read_object(folder / "environment.json", remarks)
    if not environment and results:
        environment = results[0].origin.environment
    changes = read_changes(folder, remarks)
    if (folder / "config.json").is_file() and (remark := unrecorded(environment)) is not None:
        remarks.append(remark)
    return RunRecord(
        name=folder.resolve().name,
        config=_read_object(folder / "config.json", remarks),
        environment=environment,
        train=_columns(train),
        evals=tuple(sorted(evals.values())),
        results=tuple(results),
        remarks=tuple(remarks),
        changes=tuple(changes),
    )


def settings_of(stored: Mapping[str, JsonValue]) -> dict[str, str]:
    """The resolved settings of a run as dotted names.

    Args:
        stored: its config.json, which keeps them below "config", beside the recipe's name.
    """
    settings = stored.get("config", stored)
    return flattened(settings) if isinstance(settings, dict) else {}


def flattened(config: Mapping[str, JsonValue], prefix: str = "") -> dict[str, str]:
    """Nested settings as dotted names with JSON values ("optim.lr": "0.0005")."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, dict):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value, ensure_ascii=False)
    return flat


def _read_metrics(
    path: Path, remarks: list[str]
) -> tuple[dict[int, dict[str, Any]], dict[int, EvalPoint]]:
    train: dict[int, dict[str, Any]] = {}
    evals: dict[int, EvalPoint] = {}
    if not path.is_file():
        return train, evals
    num_bad = 0
    for record in json_lines(path):
        try:
            step = int(record["step"])
            if record["kind"] == "train":
                train[step] = record
            elif record["kind"] == "eval":
                results = tuple(EvalResult.from_dict(r) for r in record["results"])
                evals[step] = EvalPoint(step, int(record["samples_seen"]), results)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, EvaluationError):
            num_bad += 1
    if num_bad:
        remarks.append(f"{path.name}: {num_bad:,} lines could not be read and are left out")
    return train, evals


def _columns(records: dict[int, dict[str, Any]]) -> TrainCurves:
    if not records:
        return {}
    ordered = [records[step] for step in sorted(records)]
    return {
        column: np.array([_number(record.get(column)) for record in ordered], dtype=np.float64)
        for column in (*TRAIN_COLUMNS, *_scalars(ordered))
    }


def _scalars(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of what the objective logs beside the loss, without what is always 0."""
    known = {*TRAIN_COLUMNS, *_NO_CURVES}
    found = {
        name: None
        for record in records
        for name, value in record.items()
        if name not in known and math.isfinite(_number(value)) and value != 0
    }
    return list(found)


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:  # a whole number of hundreds of digits
        return math.nan


def _read_results(folder: Path, remarks: list[str]) -> list[EvalResult]:
    results = []
    inner = folder / "results"
    for path in sorted((inner if inner.is_dir() else folder).glob("*__*.json")):
        try:
            results.append(load_result(path))
        except EvaluationError as error:
            remarks.append(str(error))
    return sorted(results, key=lambda r: (r.model, r.benchmark, r.dataset, r.split))


def _read_object(path: Path, remarks: list[str]) -> dict[str, JsonValue]:
    if not path.is_file():
        return {}
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        remarks.append(f"{path.name} could not be read: {error}")
        return {}
    return value if isinstance(value, dict) else {}
