"""Scores of OmniBench as results of the evaluation contract: one a setting, named by its split."""

import hashlib
import json
from pathlib import Path

import numpy as np

from data_pipelines.schema import JsonValue
from eval.metrics.intervals import RECALL_INTERVAL, WILSON
from eval.omnibench.outcomes import hits
from eval.omnibench.scoring import ScoredLog, SettingScores, positions
from eval.results import (
    RESULT_VERSION,
    EvalResult,
    Origin,
    PerImage,
    Score,
    Settings,
    file_name_part,
    save_result,
)

BENCHMARK = "omnibench"

INTERVAL = f"{WILSON}; means over types: {RECALL_INTERVAL}"


def results_of(
    scored: ScoredLog, *, seed: int, environment: Settings | None = None
) -> list[EvalResult]:
    """One result a setting, in the order of the settings.

    Args:
        seed: of the bootstrap.
        environment: command, commit, hardware and versions; no clock times.
    """
    return [
        result_of(
            scores,
            model=scored.model,
            dataset=scored.question_set,
            revision=scored.revision,
            seed=seed,
            environment=environment or {},
            num_skipped=scored.num_unusable,
            details={
                "style": scored.style,
                "questions_asked": scored.asked[0],
                "questions_in_set": scored.asked[1],
                "unusable_records": scored.num_unusable,
                "notes": [
                    note
                    for note in scored.notes
                    if note.partition(":")[0] not in scored.settings or note.startswith(f"{name}:")
                ],
            },
        )
        for name, scores in scored.settings.items()
    ]


def result_of(
    scores: SettingScores,
    *,
    model: str,
    dataset: str,
    revision: str,
    seed: int,
    environment: Settings,
    details: Settings,
    num_skipped: int = 0,
) -> EvalResult:
    """One setting as a result; its hits are kept, so that models compare question by question."""
    settings: Settings = {"setting": scores.setting, "parser": scores.parser, "seed": seed}
    is_right = hits(scores.outcomes)
    per_question = PerImage.pack(is_right, np.arange(len(is_right)), len(is_right))
    return EvalResult(
        benchmark=BENCHMARK,
        family=BENCHMARK,
        dataset=dataset,
        split=scores.setting,
        model=model,
        scores=named_scores(scores),
        chance=_chance(scores),
        num_samples=len(scores.outcomes),
        num_skipped=num_skipped,
        origin=Origin(
            seed=seed,
            data_revision=_asked_revision(scores, revision),
            interval=INTERVAL,
            config_hash=_config_hash(model, dataset, revision, settings | details),
            environment=environment,
        ),
        details=settings | details | _tables(scores),
        per_image={"accuracy": per_question},
    )


def named_scores(scores: SettingScores) -> dict[str, Score]:
    """Every score by the name it has in result files."""
    named = {
        "accuracy": scores.accuracy,
        "mean_over_task_types": scores.macro_task,
        "mean_over_audio_types": scores.macro_audio,
    }
    if scores.answered_only is not None:
        named["accuracy_answered"] = scores.answered_only
    named |= {_slug("audio", kind): score for kind, score in scores.by_audio.items()}
    return named | {_slug("task", kind): score for kind, score in scores.by_task.items()}


def write_results(results: list[EvalResult], folder: Path) -> list[Path]:
    """One file a result, named as those of ``vlsuite eval``; the same again where nothing changed.

    Raises:
        DataError: the folder cannot be written.
    """
    paths = []
    for result in results:
        parts = (result.model, result.dataset, result.split, result.benchmark)
        path = folder / ("__".join(map(file_name_part, parts)) + ".json")
        save_result(result, path)
        paths.append(path)
    return paths


def _chance(scores: SettingScores) -> dict[str, float]:
    named = {
        "accuracy": scores.chance,
        "mean_over_task_types": scores.chance_macro_task,
        "mean_over_audio_types": scores.chance_macro_audio,
    }
    for axis, attribute in (("audio", "audio_type"), ("task", "task_type")):
        kinds = scores.by_audio if axis == "audio" else scores.by_task
        for kind in kinds:
            own = [
                1 / len(outcome.question.options)
                for outcome in scores.outcomes
                if getattr(outcome.question, attribute) == kind
            ]
            named[_slug(axis, kind)] = float(np.mean(own))
    return named


def _slug(axis: str, kind: str) -> str:
    words = "".join(c if c.isalnum() else " " for c in kind.lower()).split()
    return "_".join([axis, *words])


def _tables(scores: SettingScores) -> Settings:
    both: list[JsonValue] = [
        {"task": task, "audio": audio, "accuracy": s.value, "low": s.low, "high": s.high, "n": s.n}
        for (task, audio), s in scores.by_both.items()
    ]
    return {
        "counts": dict(scores.counts),
        "endings": dict(scores.endings),
        "by_task_and_audio": both,
        "right_place_by_chosen_place": positions(scores.outcomes).tolist(),
    }


def _asked_revision(scores: SettingScores, revision: str) -> str:
    """Of the questions asked: a sample is another data set than the whole."""
    asked = [outcome.question.index for outcome in scores.outcomes]
    return hashlib.sha256(f"{revision}{asked}".encode()).hexdigest()


def _config_hash(model: str, dataset: str, revision: str, settings: Settings) -> str:
    config = {
        "version": RESULT_VERSION,
        "model": model,
        "benchmark": BENCHMARK,
        "dataset": [dataset, revision],
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
