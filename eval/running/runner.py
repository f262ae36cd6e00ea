"""Run benchmarks on a model: one result file each, finished ones are not run again.

A finished result is kept if its configuration (model name, data revision, task settings) has the
same hash, the model has the same fingerprint and still makes the same of a fixed picture
(``probe_model``; an object of one's own may change and keep its fingerprint). Otherwise the
old file moves to ``superseded/`` and the benchmark runs: no result is ever overwritten.
"""

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines.printable import printable
from eval.capabilities import device_of, identity_of, lack_of
from eval.contract import Benchmark, Demanding, Embedder, EmbeddingModel, Model
from eval.embedding.embedder import RememberingEmbedder
from eval.errors import EvaluationError, UnansweredError
from eval.influence_factors import UNKNOWN, merged
from eval.process_group import all_agree, ranks
from eval.results import (
    RESULT_VERSION,
    EvalResult,
    Settings,
    file_name_part,
    load_result,
    save_result,
)
from eval.running.probe import probe_model
from eval.tasks import facts_of

SUPERSEDED = "superseded"

# Another thread count or device moves a coordinate by about 1e-6, other weights by about 1e-2.
_PROBE_TOLERANCE = 1e-4


class Finished(NamedTuple):
    """A result, where it lies, and whether an earlier run had left it there."""

    result: EvalResult
    path: Path
    was_there: bool


def run_benchmarks(
    model: Model,
    benchmarks: Sequence[Benchmark],
    *,
    embedder: Embedder,
    out_dir: Path,
    environment: Settings | None = None,
    influences: dict[str, str] | None = None,
    on_finished: Callable[[Finished], None] | None = None,
    required: Collection[str] = (),
) -> list[Finished]:
    """Run what is not finished yet; neighbours on the same data set share one pass.

    Args:
        out_dir: folder for result files, made if need be; process 0 writes.
        environment: command, commit, hardware and versions, stored with each new result.
        influences: what the model is made of, stored with each new result.
        on_finished: called after each benchmark.
        required: names of benchmarks that must be possible; others that the model cannot take are
            left out, and named on standard error.
    Raises:
        EvaluationError: two benchmarks would share a file, the model gives no numbers, or it
            cannot take a required benchmark, or any at all.
        UnansweredError: a model left questions of a task unanswered; raised when all other tasks
            have been measured and their results are on disk.
        DataError: the folder cannot be written.
    """
    benchmarks = possible_benchmarks(model, benchmarks, required=required)
    paths = [result_path(out_dir, model, benchmark) for benchmark in benchmarks]
    for path in paths:
        if paths.count(path) > 1:
            raise EvaluationError(
                f"two data sets would both write {path.name}; give data folders different names"
            )
    place = _Place(
        out_dir, probe_model(model), identity_of(model), environment or {}, influences or {}
    )
    finished: list[Finished] = []
    unanswered: dict[str, UnansweredError] = {}
    for group in _groups(benchmarks):
        shared = RememberingEmbedder(embedder)
        earlier = [_finished_earlier(model, benchmark, place) for benchmark in group]
        todo = [b for b, outcome in zip(group, earlier, strict=True) if outcome is None]
        if isinstance(model, EmbeddingModel):
            shared.prepare(model, [need for benchmark in todo for need in benchmark.needs()])
        for benchmark, known in zip(group, earlier, strict=True):
            try:
                outcome = known or _run(model, benchmark, embedder=shared, place=place)
            except UnansweredError as error:
                unanswered[f"{benchmark.name} {benchmark.dataset.split}"] = error
                continue
            finished.append(outcome)
            if on_finished:
                on_finished(outcome)
    _refuse_unanswered(unanswered, finished)
    return finished


def _refuse_unanswered(
    unanswered: Mapping[str, UnansweredError], finished: Sequence[Finished]
) -> None:
    """Say what could not be measured, once everything else is on disk.

    Raises:
        UnansweredError: something could not.
    """
    if not unanswered:
        return
    first = next(iter(unanswered.values()))
    if len(unanswered) + len(finished) == 1:
        raise first
    raise UnansweredError(
        f"{len(unanswered)} of {len(unanswered) + len(finished)} tasks have no result "
        f"({', '.join(unanswered)}); the results of the other {len(finished)} are written; {first}"
    ) from first


def possible_benchmarks(
    model: Model, benchmarks: Sequence[Benchmark], *, required: Collection[str] = ()
) -> list[Benchmark]:
    """Those that the model can take; the others are named on standard error.

    Raises:
        EvaluationError: the model cannot take a required one, or none at all.
    """
    possible: list[Benchmark] = []
    lacks: list[str] = []
    for benchmark in benchmarks:
        lack = lack_of(model, facts_of(benchmark).demands)
        if lack is None and isinstance(benchmark, Demanding):
            lack = benchmark.model_lacks(model)
        if lack is None:
            possible.append(benchmark)
            continue
        if benchmark.name.partition(":")[0] in required:
            raise EvaluationError(f"{lack}; leave {benchmark.name} out")
        lacks.append(f"{benchmark.name}: {lack}")
    if lacks and not possible:
        raise EvaluationError(lacks[0])
    if not ranks().rank:
        for line in lacks:
            print(printable(f"not measured: {line}"), file=sys.stderr)
    return possible


def _groups(benchmarks: Sequence[Benchmark]) -> list[list[Benchmark]]:
    """Benchmarks on the same data set, which are prepared together."""
    by_dataset = groupby(benchmarks, key=lambda benchmark: benchmark.dataset.pictures_revision)
    return [list(group) for _, group in by_dataset]


def result_path(out_dir: Path, model: Model, benchmark: Benchmark) -> Path:
    """Where the result of a model in a benchmark lies."""
    dataset = benchmark.dataset
    parts = (model.name, dataset.name, dataset.split, benchmark.name)
    return out_dir / ("__".join(map(file_name_part, parts)) + ".json")


def config_hash(model: Model, benchmark: Benchmark) -> str:
    """SHA-256 over all that the result depends on but the weights, as hexadecimal digits."""
    config = {
        "version": RESULT_VERSION,
        "model": model.name,
        "benchmark": benchmark.name,
        "dataset": [benchmark.dataset.name, benchmark.dataset.split, benchmark.dataset.revision],
        "settings": benchmark.settings(),
    }
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


class _Place(NamedTuple):
    """Where results go, and what is the same for all results of one call."""

    out_dir: Path
    probe: tuple[float, ...]
    fingerprint: str
    environment: Settings
    influences: dict[str, str]


def _finished_earlier(model: Model, benchmark: Benchmark, place: _Place) -> Finished | None:
    path = result_path(place.out_dir, model, benchmark)
    earlier = _earlier_result(path)
    is_done = (
        earlier is not None
        and earlier.origin.config_hash == config_hash(model, benchmark)
        and len(earlier.origin.model_probe) == len(place.probe)
        and np.allclose(earlier.origin.model_probe, place.probe, rtol=0, atol=_PROBE_TOLERANCE)
        and earlier.origin.model_fingerprint == place.fingerprint
    )
    # All processes take the same way, or the collective calls of a benchmark would wait for ever.
    if all_agree(is_done, device=device_of(model)) and earlier is not None:
        return Finished(_restated(earlier, path, place), path, was_there=True)
    return None


def _restated(earlier: EvalResult, path: Path, place: _Place) -> EvalResult:
    """With the influences that are known by now; where they differ, the old file is set aside."""
    known = {name: value for name, value in place.influences.items() if value != UNKNOWN}
    result = dataclasses.replace(earlier, influences=earlier.influences | known)
    if result != earlier and ranks().rank == 0:
        _set_aside(path)
        save_result(result, path)
    return result


def _run(model: Model, benchmark: Benchmark, *, embedder: Embedder, place: _Place) -> Finished:
    path = result_path(place.out_dir, model, benchmark)
    measured = benchmark.run(model, embedder)
    origin = dataclasses.replace(
        measured.origin,
        config_hash=config_hash(model, benchmark),
        model_probe=place.probe,
        model_fingerprint=place.fingerprint,
        environment=place.environment,
    )
    templates = benchmark.settings().get("templates")
    influences = merged(place.influences, templates if isinstance(templates, list) else None)
    result = dataclasses.replace(measured, origin=origin, influences=influences)
    if ranks().rank == 0:
        _set_aside(path)
        save_result(result, path)
    return Finished(result, path, was_there=False)


def _earlier_result(path: Path) -> EvalResult | None:
    """What an earlier run left; an unreadable file counts as nothing and is set aside later."""
    if not path.exists():
        return None
    try:
        return load_result(path)
    except EvaluationError:
        return None


def _set_aside(path: Path) -> None:
    if not path.exists():
        return
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    target = path.parent / SUPERSEDED / f"{path.stem}.{digest}.json"
    try:
        target.parent.mkdir(exist_ok=True)
        path.replace(target)
    except OSError as error:
        raise EvaluationError(
            f"cannot move {path} to {target.parent}: {error.strerror or error}; "
            "choose another folder with --out"
        ) from error
