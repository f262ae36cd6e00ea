"""What a run folder says about the model that came out of it, for the model card.

Read as plain JSON: a card must not fail on a run that an older or newer version wrote. What
cannot be read is named in ``problems``.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_pipelines.bounded_json import json_lines, read_json
from data_pipelines.shards.find import find_shards
from data_pipelines.shards.manifest import Manifest
from vlsuite.errors import UserError
from vlsuite.export.run_changes import Change, read_changes, unrecorded

#: Coordinates of probe embeddings differ by 1e-6 between machines, by 1e-2 between weights.
_PROBE_TOLERANCE = 1e-4


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """One score of one benchmark; shares in [0, 1], with a 95% interval.

    Attributes:
        benchmark, dataset, split, metric: what was measured.
        value, low, high: estimate and interval.
        chance: level of guessing, None where there is none.
        num_trials: images or captions behind it.
        when: "vlsuite eval", or the training step.
    """

    benchmark: str
    dataset: str
    split: str
    metric: str
    value: float
    low: float
    high: float
    chance: float | None
    num_trials: int
    when: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSource:
    """Training shards of one folder; licence and attribution as its manifest states them."""

    pattern: str
    source: str | None = None
    licence: str | None = None
    attribution: str = ""
    num_samples: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunHistory:
    """The origin of a trained model.

    Attributes:
        recipe: name of the run's recipe.
        config: resolved, JSON-ready.
        environment: commit, command, hardware, versions, seed.
        step, samples_seen: of the exported weights.
        sources: of the training data.
        measurements: of the exported weights.
        changes: settings changed when the run was continued; ``config`` has the newest.
        problems: what could not be read, one line each.
    """

    recipe: str
    config: dict[str, Any]
    environment: dict[str, Any]
    step: int
    samples_seen: int
    sources: list[DataSource]
    measurements: list[Measurement]
    changes: list[Change] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_run(
    run: Path, *, step: int, samples_seen: int, probe: tuple[float, ...] | None = None
) -> RunHistory:
    """Collect the history of the weights of one step.

    Args:
        run: folder of the run.
        step: of the exported weights; later evaluations are left out.
        samples_seen: up to that step.
        probe: what ``eval.running.probe.probe_model`` gives for the exported weights; results
            of ``vlsuite eval`` on other weights are left out. None leaves all of them out.
    """
    problems: list[str] = []
    stored = _read_json(run / "config.json", problems)
    config = _mapping(stored.get("config"))
    evaluated = _from_results(run / "results", probe, problems)
    known = {(m.benchmark, m.dataset, m.split) for m in evaluated}
    in_training = [
        m
        for m in _from_metrics(run / "metrics.jsonl", step, problems)
        if (m.benchmark, m.dataset, m.split) not in known
    ]
    environment = _read_json(run / "environment.json", problems)
    changes = read_changes(run, problems)
    if (remark := unrecorded(environment)) is not None:
        problems.append(remark)
    trained_on = _listed(_mapping(config.get("data")).get("train"))
    return RunHistory(
        recipe=str(stored.get("recipe", "unknown")),
        config=config,
        environment=environment,
        step=step,
        samples_seen=samples_seen,
        sources=[s for p in trained_on for s in data_sources(str(p))],
        measurements=evaluated + in_training,
        changes=changes,
        problems=problems,
    )


def data_sources(pattern: str) -> list[DataSource]:
    """Where the shards of a pattern come from, as far as manifests beside them say."""
    try:
        folders = sorted({path.parent for path in find_shards([pattern])})
        manifests = [Manifest.load(folder) for folder in folders]
    except (UserError, OSError):
        return [DataSource(pattern=pattern)]
    return [
        DataSource(
            pattern=pattern,
            source=manifest.origin.source,
            licence=manifest.origin.licence,
            attribution=manifest.origin.attribution,
            num_samples=manifest.num_samples,
        )
        for manifest in manifests
    ]


def _from_results(
    folder: Path, probe: tuple[float, ...] | None, problems: list[str]
) -> list[Measurement]:
    found: list[Measurement] = []
    for path in sorted(folder.glob("*.json")) if probe is not None else ():
        result = _read_json(path, problems)
        try:
            if not _is_same_model(result["origin"]["model_probe"], probe or ()):
                problems.append(f"{path.name}: measured on other weights, left out")
                continue
            found += _measurements(result, when="vlsuite eval")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            problems.append(f"{path.name}: not a result of this version")
    return found


def _from_metrics(path: Path, step: int, problems: list[str]) -> list[Measurement]:
    """Scores of the last evaluation inside training that is not later than ``step``."""
    last: Mapping[str, Any] = {}
    for line in _json_lines(path, problems):
        if line.get("kind") == "eval" and _step_of(line, step + 1) <= step:
            last = line
    found: list[Measurement] = []
    for result in _listed(last.get("results")):
        try:
            found += _measurements(result, when=f"in training, step {last['step']}")
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            problems.append(f"{path.name}: an evaluation of step {last['step']} is unreadable")
    return found


def _measurements(result: Mapping[str, Any], *, when: str) -> list[Measurement]:
    return [
        Measurement(
            benchmark=result["benchmark"],
            dataset=result["dataset"],
            split=result["split"],
            metric=metric,
            value=float(score["value"]),
            low=_end(score["low"]),
            high=_end(score["high"]),
            chance=result.get("chance", {}).get(metric),
            num_trials=int(score["n"]),
            when=when,
        )
        for metric, score in result["scores"].items()
    ]


def _step_of(line: Mapping[str, Any], missing: int) -> int | float:
    step = line.get("step", missing)
    return step if isinstance(step, int | float) else missing


def _mapping(value: Any) -> dict[str, Any]:
    """What should be an object, empty where it is none."""
    return value if isinstance(value, dict) else {}


def _listed(value: Any) -> list[Any]:
    """What should be a list, empty where it is none."""
    return value if isinstance(value, list) else []


def _end(value: Any) -> float:
    """An end of an interval, NaN where there is none."""
    return math.nan if value is None else float(value)


def _is_same_model(stored: list[float], probe: tuple[float, ...]) -> bool:
    return len(stored) == len(probe) and all(
        abs(a - b) <= _PROBE_TOLERANCE for a, b in zip(stored, probe, strict=True)
    )


def _read_json(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        problems.append(f"{path.name}: {error}")
        return {}
    if not isinstance(value, dict):
        problems.append(f"{path.name}: no JSON object")
        return {}
    return value


def _json_lines(path: Path, problems: list[str]) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return  # a run that logged nothing yet
    for number, value in enumerate(json_lines(path), start=1):
        if isinstance(value, dict):
            yield value
        elif value is None:
            problems.append(f"{path.name}: line {number} is no JSON")
