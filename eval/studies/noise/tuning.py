"""The learning rate of each method, chosen by validation pairs that are as noisy as the training.

No test pair, no truth about captions and no noise rate is used: the rate is the one under which
the held-out pictures and captions, right or wrong as they are, find each other best. Wrong
captions are found by chance only, whatever the rate, so they cost precision and favour no method.
The figure is the mean reciprocal rank of both directions; of the same pairs R@1 alone would have a
standard error of about a tenth of its value.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eval.data.folders import open_dataset
from eval.studies.noise.embedding import study_embedder, study_gallery
from eval.studies.noise.grid import Cell, StudyConfig, Trial
from eval.studies.noise.training import StudyFolders, run_config, train_run
from eval.zero_shot.retrieval import CosinePlaces, cosine_places
from vlsuite.engine.run_folder import write_json

RESULT, TABLE = "trial.json", "tuning.json"


def trials_of(config: StudyConfig, methods: Iterable[str]) -> list[Trial]:
    """What has to be run; nothing where the rate is given."""
    if config.lr is not None:
        return []
    return [Trial(method, lr) for method in dict.fromkeys(methods) for lr in config.lr_grid]


def is_tried(folders: StudyFolders, trial: Trial, config: StudyConfig) -> bool:
    """Whether a run is finished, under these settings."""
    path = folders.trial(trial) / RESULT
    return path.is_file() and json.loads(path.read_text())["digest"] == config.digest


def tuning_cell(config: StudyConfig, trial: Trial) -> Cell:
    """The method on the noise that its rate is chosen under."""
    return Cell(trial.method, config.tune_rate, config.tune_seed)


def train_trial(config: StudyConfig, folders: StudyFolders, trial: Trial) -> None:
    """Train one method at one rate and write how the noisy validation pairs find each other."""
    started = time.perf_counter()
    folder, cell = folders.trial(trial), tuning_cell(config, trial)
    state = train_run(run_config(config, folders, cell, lr=trial.lr), folder / "run", [])
    pairs = folders.sets.noisy_validation(cell.rate, cell.seed)
    gallery = study_gallery(open_dataset(str(pairs)), state.evaluated(trial.name), study_embedder())
    write_json(
        folder / RESULT,
        {
            **trial._asdict(),
            "digest": config.digest,
            **validation_figures(cosine_places(gallery)),
            "steps": state.step,
            "seconds": time.perf_counter() - started,
        },
    )


def validation_figures(places: CosinePlaces) -> dict[str, float | int]:
    """Mean reciprocal rank and R@1, means of both directions."""
    sides = [np.asarray(side, np.float64) for side in places]
    return {
        "mrr": float(np.mean([(1 / (1 + side)).mean() for side in sides])),
        "r1": float(np.mean([(side == 0).mean() for side in sides])),
        "pairs": len(sides[0]),
    }


def write_tuning(config: StudyConfig, folders: StudyFolders) -> dict[str, Any]:
    """Collect the finished trials in ``tuning.json``; returns its content."""
    found = [json.loads(path.read_text()) for path in folders.out.glob(f"tuning/*/{RESULT}")]
    own = sorted(
        (one for one in found if one["digest"] == config.digest),
        key=lambda one: (one["method"], one["lr"]),
    )
    table = {
        "rate": config.tune_rate,
        "seed": config.tune_seed,
        "grid": list(config.lr_grid),
        "chosen_by": "mean reciprocal rank of noisy validation pairs, both directions",
        "methods": {
            method: _choice([one for one in own if one["method"] == method])
            for method in dict.fromkeys(one["method"] for one in own)
        },
    }
    write_json(folders.out / TABLE, table)
    return table


def read_tuning(out: Path) -> dict[str, Any] | None:
    """What :func:`write_tuning` left; None in a study with one given rate."""
    path = out / TABLE
    return json.loads(path.read_text()) if path.is_file() else None


def _choice(trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The best rate, the lower one of equals, with all figures."""
    best = max(trials, key=lambda one: (one["mrr"], -one["lr"]))
    ends = {min(one["lr"] for one in trials), max(one["lr"] for one in trials)}
    return {
        "lr": best["lr"],
        "at_edge": best["lr"] in ends,
        "validation": [
            {name: one[name] for name in ("lr", "mrr", "r1", "pairs", "steps")} for one in trials
        ],
    }
